/** Identifies the boot: pids and start times of an earlier one mean nothing. */

import { readProc } from './read-proc.js'

/** The value of `bootId` if the kernel does not tell. */
export const unknownBoot = 'unknown-boot'

/** A text that no other boot of any machine has. */
export function bootId(): string {
  return readProc('/proc/sys/kernel/random/boot_id')?.trim() ?? unknownBoot
}
