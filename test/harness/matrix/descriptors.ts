/** Counts the open descriptors of a process of the matrix. */

import { readdirSync, readlinkSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'

/** The open descriptors of this process, without the witness's, which are closed at different times. */
export function descriptorsOpen(): number {
  return readdirSync('/proc/self/fd').filter((name) => {
    try {
      return !readlinkSync(`/proc/self/fd/${name}`).includes('/witness-')
    } catch {
      // The descriptor of the directory that is being listed.
      return false
    }
  }).length
}

/** Resolves with the number when no more are being closed. */
export async function idleDescriptors(): Promise<number> {
  let last = descriptorsOpen()
  for (let same = 0; same < 5; same++) {
    await pause(2)
    const now = descriptorsOpen()
    if (now !== last) same = 0
    last = now
  }
  return last
}
