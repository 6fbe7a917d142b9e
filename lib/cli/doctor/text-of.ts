/** What a file of the system says. */

import { readFileSync } from 'node:fs'

/** Its text without the blanks around it; undefined where there is no such file, or none for this user. */
export function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').trim()
  } catch {
    // A kernel without it, or a sandbox that hides it.
    return undefined
  }
}
