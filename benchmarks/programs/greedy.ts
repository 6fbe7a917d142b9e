/**
 * Writes its pid into the pipe HELD_PIPE, waits, and then takes a gigabyte of memory a second. When it has more than
 * the limit, it writes when that was, and how fast it was. Arguments: limit in bytes, wait in ms.
 */

import { openSync, writeSync } from 'node:fs'
import { sharedNow } from '../harness/clock.js'
import { HugePages, hugePageBytes } from '../harness/huge-pages.js'

const [limitBytes = 0, waitMs = 0] = process.argv.slice(2).map(Number)
const bytesPerMs = 1e6
// So that it does no harm to the machine if nobody ends it.
const mostBytes = 3 * limitBytes

const pages = new HugePages(Math.ceil(mostBytes / hugePageBytes))
let [startedAt, hasTold] = [0, false]
const pipe = openSync(process.env.HELD_PIPE as string, 'w')
writeSync(pipe, `${process.pid}\n`)

function tellIfPassed(): void {
  if (hasTold || process.memoryUsage.rss() <= limitBytes) return
  hasTold = true
  const now = sharedNow()
  writeSync(pipe, `passed ${now} ${pages.takenBytes / (now - startedAt) / bytesPerMs}\n`)
}

function takeMore(): void {
  while (pages.takenBytes < (sharedNow() - startedAt) * bytesPerMs) {
    if (pages.areAllTaken) {
      // It keeps what it has until somebody ends it.
      setInterval(() => {}, 1_000)
      return
    }
    pages.take()
    tellIfPassed()
  }
  setTimeout(takeMore, 1)
}

setTimeout(() => {
  startedAt = sharedNow()
  takeMore()
}, waitMs)
