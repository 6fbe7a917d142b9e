/** Reads a file of the system. */

import { readFileSync } from 'node:fs'

/** The trimmed text of a file. Undefined if it does not exist, or this user may not read it. */
export function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').trim()
  } catch {
    // The kernel does not have it, or a sandbox hides it.
    return undefined
  }
}
