/** Tells a script without a `#!` line, which execvp(3) has the shell run with glibc, but not with musl. */

import { closeSync, openSync, readSync } from 'node:fs'
import { resolve } from 'node:path'

const starts = ['#!', '\x7fELF']

/** Whether the file is neither a program nor names one that runs it. The kernel may know another kind all the same. */
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
    // No shell could read it either, or no descriptor is left: start it as a program.
    return false
  }
  const text = head.toString('latin1')
  return starts.every((start) => !text.startsWith(start))
}
