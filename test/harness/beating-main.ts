/** A worker that gives its signs of life, a line each, and blocks for as many ms as each line of its input says. */

import { createInterface } from 'node:readline'

const [, , beatMs] = process.argv

setInterval(() => process.stdout.write('beat\n'), Number(beatMs))
createInterface({ input: process.stdin }).on('line', (blockMs) => {
  // Blocks the event loop and leaves the processor to others.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, Number(blockMs))
  // A sign of life as any other.
  process.stdout.write('over\n')
})
