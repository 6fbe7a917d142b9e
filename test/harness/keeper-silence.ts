/**
 * How long a keeper has been silent, as the test says. While scopes close, a worker looks every two seconds for a sign of
 * life of its keeper, and gives it up after ten. Import it before the first guard is made.
 */

import type * as VigilModule from '../../lib/link/keeper-health-check.js'
import { compiled } from './compiled.js'

// Not public: the compiled file itself.
export const { KeeperHealthCheck }: typeof VigilModule = await compiled('link/keeper-health-check')

const lookEveryMs = 2_000
const looks = new Set<() => void>()

const { start } = KeeperHealthCheck.prototype
KeeperHealthCheck.prototype.start = function (this: VigilModule.KeeperHealthCheck) {
  const { setInterval } = globalThis
  globalThis.setInterval = ((look: () => void, ms: number) => {
    looks.add(look)
    return setInterval(look, ms)
  }) as typeof setInterval
  try {
    start.call(this)
  } finally {
    globalThis.setInterval = setInterval
  }
}

/** Has the workers of this process look as if so much time had passed. Throws when nothing is being closed. */
export function passSilence(ms: number): void {
  if (looks.size === 0) throw new Error('no worker looks for a sign of life')
  const { now } = performance
  try {
    for (let passedMs = lookEveryMs; passedMs <= ms; passedMs += lookEveryMs) {
      performance.now = () => now.call(performance) + passedMs
      for (const look of looks) look()
    }
  } finally {
    performance.now = now
  }
}
