/** Reads files and directories of `/proc`, also when no file descriptor is left. */

import { closeSync, openSync, readdirSync, readSync } from 'node:fs'
import { isOutOfDescriptors } from '../out-of-descriptors.js'

// One buffer for all reads: everything here is synchronous, so no two reads overlap.
const buffer = Buffer.allocUnsafeSlow(64 * 1024)

const shortReadBytes = 2_048

// A reserve: without a free descriptor nothing in /proc could be read, and no process would be found.
let reserve = openReserve()

/** Undefined if there is no descriptor for it either, and on another system, which has no such file. */
function openReserve(): number | undefined {
  if (process.platform !== 'linux') return undefined
  try {
    return openSync('/dev/null', 'r')
  } catch (error) {
    if (isOutOfDescriptors(error)) return undefined
    throw error
  }
}

/** Does something that needs one descriptor. If none is free, it gets the reserved one. */
export function withDescriptor<Result>(act: () => Result): Result {
  try {
    return act()
  } catch (error) {
    if (!isOutOfDescriptors(error)) throw error
    if (reserve !== undefined) closeSync(reserve)
    // If it cannot be opened again, the number may already belong to another file.
    reserve = undefined
    try {
      return act()
    } finally {
      reserve = openReserve()
    }
  }
}

/** The content of a file in `/proc`. Undefined if the process is gone or hidden. */
export function readProc(path: string): string | undefined {
  try {
    return withDescriptor(() => readAll(path))
  } catch (error) {
    return undefinedIfHidden(error)
  }
}

/**
 * Reads figures from which nothing is concluded about processes. Undefined also if no file descriptor is left for
 * them.
 */
export function figuresOf<Figures>(read: () => Figures): Figures | undefined {
  try {
    return read()
  } catch (error) {
    if (isOutOfDescriptors(error)) return undefined
    throw error
  }
}

/**
 * The names of a directory in `/proc` that are numbers: of processes or threads. Empty if the process is gone
 * or hidden.
 */
export function numbersIn(folder: string): number[] {
  let names: string[] | undefined
  try {
    names = withDescriptor(() => readdirSync(folder))
  } catch (error) {
    names = undefinedIfHidden(error)
  }
  const numbers: number[] = []
  for (const name of names ?? []) {
    const number = Number(name)
    if (Number.isInteger(number)) numbers.push(number)
  }
  return numbers
}

/**
 * ENOENT, ESRCH: the process ended. EACCES, EPERM: it is another user's. Any other error proves nothing and
 * is thrown.
 */
export function undefinedIfHidden(error: unknown): undefined {
  const { code } = error as NodeJS.ErrnoException
  if (code === 'ENOENT' || code === 'ESRCH' || code === 'EACCES' || code === 'EPERM') return undefined
  throw error
}

function readAll(path: string): string {
  const fd = openSync(path, 'r')
  try {
    let text = ''
    for (;;) {
      const length = readSync(fd, buffer, 0, buffer.length, null)
      text += buffer.toString('latin1', 0, length)
      // The kernel fills at least a page before it stops halfway: after less, another read would only find
      // the end.
      if (length < shortReadBytes) return text
    }
  } finally {
    closeSync(fd)
  }
}
