/** Finds the living processes of the demo, on this operating system. */

const isWindows = process.platform === 'win32'

export const { isAlive, killMarked, memoryKind, pidsOf, rowsOf } = isWindows
  ? await import('./windows-processes.js')
  : await import('./linux-processes.js')

export { markName, type ProcessRow } from './process-row.js'
