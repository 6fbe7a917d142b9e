/**
 * A worker that prints a line per heartbeat. For each path on its input, it blocks until that file exists.
 */

import { existsSync } from 'node:fs'
import { createInterface } from 'node:readline'

const [, , beatMs] = process.argv

setInterval(() => process.stdout.write('beat\n'), Number(beatMs))
createInterface({ input: process.stdin }).on('line', (path) => {
  // Blocks the event loop without using the processor.
  while (!existsSync(path)) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10)
  // Counts as a heartbeat too.
  process.stdout.write('over\n')
})
