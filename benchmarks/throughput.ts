/** Sends bytes through `cat`. Every byte must arrive, in order, and memory must stay bounded. */

import { type ChildProcess, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { Readable, type Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGuard } from 'fastify-subprocess-guard'
import { Benchmark, ensure } from './harness/benchmark.js'
import type { Contestant } from './harness/contestants.js'
import { takeTurns } from './harness/turns.js'

const benchmark = new Benchmark('throughput', 'A gigabyte through standard input and output of `cat`.')
const { short } = benchmark.settings
const mebibyte = 1024 * 1024
const sizeMiB = short ? 64 : 1024
const rounds = short ? 1 : 7
// For the buffers of the streams, and garbage that is not collected yet.
const mostGrowthMb = 64
const speed = benchmark.figures('bytes in and out', 'MB/s')
const memory = benchmark.figures('most resident memory of the worker', 'MB')

// No two blocks are equal, so that a lost or duplicated block is noticed.
const block = Buffer.alloc(mebibyte, 'subprocess')
const stdio = ['pipe', 'pipe', 'inherit'] as const

function* numberedBlocks(): Generator<Buffer> {
  for (let number = 0; number < sizeMiB; number++) {
    const numbered = Buffer.from(block)
    numbered.writeUInt32BE(number)
    yield numbered
  }
}

function* sameBlocks(): Generator<Buffer> {
  for (let number = 0; number < sizeMiB; number++) yield block
}

const expected = createHash('sha1')
for (const bytes of numberedBlocks()) expected.update(bytes)
const expectedDigest = expected.digest('hex')

/** Sends all bytes through and counts them. The content is checked in a separate round that is not timed. */
async function pass(
  cat: ChildProcess,
  check: boolean
): Promise<{ megabytesPerSecond: number; peakMb: number }> {
  const digest = createHash('sha1')
  let bytes = 0
  let peakBytes = 0
  const startedAt = performance.now()
  const read = async (): Promise<void> => {
    for await (const chunk of cat.stdout as Readable) {
      bytes += chunk.length
      if (check) digest.update(chunk)
      peakBytes = Math.max(peakBytes, process.memoryUsage.rss())
    }
  }
  const source = Readable.from(check ? numberedBlocks() : sameBlocks())
  const closed = once(cat, 'close')
  await Promise.all([pipeline(source, cat.stdin as Writable), read()])
  const [code] = await closed
  ensure(code === 0, `cat ended with ${code}`)
  const seconds = (performance.now() - startedAt) / 1_000
  ensure(bytes === sizeMiB * mebibyte, `${bytes} of ${sizeMiB * mebibyte} bytes arrived`)
  ensure(!check || digest.digest('hex') === expectedDigest, 'the bytes that arrived differ')
  return { megabytesPerSecond: bytes / 1e6 / seconds, peakMb: peakBytes / 1e6 }
}

const guard = await createGuard({ timeout: false })
const scope = guard.open()
const contestants: { name: Contestant; start: () => ChildProcess }[] = [
  { name: 'guard', start: () => scope.spawn('cat', { stdio }) },
  { name: 'child_process', start: () => spawn('cat', { stdio: [...stdio] }) }
]
await takeTurns(contestants, rounds, async ({ name, start }, _round, isWarmUp) => {
  const { megabytesPerSecond, peakMb } = await pass(start(), isWarmUp)
  if (isWarmUp) return
  speed.add(name, '', megabytesPerSecond)
  memory.add(name, '', peakMb)
})
await guard.close()

benchmark.aim('guard / child_process', speed.ratio('guard', 'child_process'), '', { atLeast: 0.95 })
const more = memory.summary('guard').median - memory.summary('child_process').median
benchmark.aim('memory of the worker, guard above child_process', more, 'MB', { atMost: mostGrowthMb })
benchmark.report()
