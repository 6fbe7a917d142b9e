/** Gives memory back to the system: a keeper is mostly idle, and an idle process collects no garbage. */

import type { NativeCalls } from '../platform/current.js'

/** Frees 2 to 3 MB of 15 after the start of a keeper. Needs `--expose-gc`. */
export function freeMemory(native: NativeCalls | undefined): void {
  globalThis.gc?.({ type: 'major', execution: 'sync', flavor: 'last-resort' })
  native?.returnFreedMemory()
}
