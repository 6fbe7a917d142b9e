/** Finds the living processes of the demo, on this operating system. */

import { existsSync } from 'node:fs'

/**
 * Whether the system shows processes as Linux does. If not, those of the demo report themselves. (Wine shows the
 * files of Linux, too, but its processes have other pids there.)
 */
export const hasProc = process.platform !== 'win32' && existsSync('/proc/self/environ')

export const { isAlive, killMarked, memoryKind, pidsOf, rowsOf } = hasProc
  ? await import('./linux-processes.js')
  : await import('./reporting-processes.js')

export { markName, type ProcessRow } from './process-row.js'
