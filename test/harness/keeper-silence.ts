/**
 * Simulates the silence of a keeper. While scopes close, a worker checks every two seconds whether its keeper
 * has sent something, and gives it up after ten. Import this module before the first guard is created.
 */

import type * as VigilModule from '../../lib/link/keeper-health-check.js'
import { compiled } from './compiled.js'

// Not public: loads the compiled file.
export const { KeeperHealthCheck }: typeof VigilModule = await compiled('link/keeper-health-check')

const checkEveryMs = 2_000
const checks = new Set<() => void>()

const { start } = KeeperHealthCheck.prototype
KeeperHealthCheck.prototype.start = function (this: VigilModule.KeeperHealthCheck) {
  const { setInterval } = globalThis
  globalThis.setInterval = ((check: () => void, ms: number) => {
    checks.add(check)
    return setInterval(check, ms)
  }) as typeof setInterval
  try {
    start.call(this)
  } finally {
    globalThis.setInterval = setInterval
  }
}

/** Runs the checks of this process as if so much time had passed. Throws if no scope is closing. */
export function passSilence(ms: number): void {
  if (checks.size === 0) throw new Error('no worker checks its keeper')
  const { now } = performance
  try {
    for (let passedMs = checkEveryMs; passedMs <= ms; passedMs += checkEveryMs) {
      performance.now = () => now.call(performance) + passedMs
      for (const check of checks) check()
    }
  } finally {
    performance.now = now
  }
}
