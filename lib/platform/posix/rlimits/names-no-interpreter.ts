/** Tells a script without a `#!` line, which execvp(3) has the shell run with glibc, but not with musl. */

import { closeSync, openSync, readSync } from 'node:fs'
import { resolve } from 'node:path'

const starts = ['#!', '\x7fELF']

/** Whether the kernel may refuse to run the file: it is no program, and says of no program that this can run it. */
export function namesNoInterpreter(path: string, cwd: string): boolean {
  const head = Buffer.alloc(4)
  try {
    const fd = openSync(resolve(cwd, path), 'r')
    try {
      readSync(fd, head, 0, head.length, 0)
    } finally {
      closeSync(fd)
    }
  } catch {
    // Not readable, or no descriptor is left. No shell could read it either in the first case; the second passes.
    return false
  }
  const text = head.toString('latin1')
  return starts.every((start) => !text.startsWith(start))
}
