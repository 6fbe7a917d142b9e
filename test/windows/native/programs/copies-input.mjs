// Copies its input to its output by calls that block, as a program in C does, says on standard error that it has seen the end, and exits with 3.
import { readSync, writeSync } from 'node:fs'

const buffer = Buffer.alloc(65_536)
for (;;) {
  const count = readSync(0, buffer)
  if (count === 0) break
  for (let at = 0; at < count; ) at += writeSync(1, buffer, at, count - at)
}
writeSync(2, 'end')
process.exit(3)
