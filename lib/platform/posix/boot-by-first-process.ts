/** Identifies the boot by the start of process 1, which neither the clock nor the network changes later. */

import { statOf } from './listed-processes.js'

/** The value of `bootId` where process 1 is hidden. */
export const unknownBoot = 'unknown-boot'

let known: string | undefined

/** Machines that have booted in the same second have the same. */
export function bootId(): string {
  if (known === undefined) {
    const startTick = statOf(1)?.startTick ?? 0
    known = startTick === 0 ? unknownBoot : `boot-${startTick}`
  }
  return known
}
