/** Removes directories on Windows. */

import { rm } from 'node:fs/promises'

/**
 * Removes a directory with everything in it. A file that a process has open cannot be removed, and the system may
 * keep those of an ended process open for a moment: so this tries again for 3 s.
 */
export async function removeFolder(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true, maxRetries: 7, retryDelay: 100 })
}
