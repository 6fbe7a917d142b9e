/** A worker that gives its signs of life, a line each, and blocks for as many ms as each line of its input says. */

import { createInterface } from 'node:readline'

const [, , beatMs] = process.argv

setInterval(() => process.stdout.write('beat\n'), Number(beatMs))
createInterface({ input: process.stdin }).on('line', (blockMs) => {
  const until = performance.now() + Number(blockMs)
  while (performance.now() < until);
  // A sign of life as any other.
  process.stdout.write('over\n')
})
