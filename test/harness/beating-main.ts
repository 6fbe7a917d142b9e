/** A worker that gives its signs of life, a line each, and blocks until there is a file at the path on each line of its input. */

import { existsSync } from 'node:fs'
import { createInterface } from 'node:readline'

const [, , beatMs] = process.argv

setInterval(() => process.stdout.write('beat\n'), Number(beatMs))
createInterface({ input: process.stdin }).on('line', (path) => {
  // Blocks the event loop and leaves the processor to others.
  while (!existsSync(path)) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10)
  // A sign of life as any other.
  process.stdout.write('over\n')
})
