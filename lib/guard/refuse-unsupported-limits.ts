/** Refuses limits that this system cannot set. */

import { SubprocessOptionError } from '../errors.js'
import type { ResolvedLimits } from '../limit-options.js'
import { platform } from '../platform/current.js'

/** Throws a TypeError. */
export function refuseUnsupportedLimits({ rlimits, scope }: ResolvedLimits): void {
  if (rlimits !== undefined && platform.limiterOf === undefined) {
    throw new SubprocessOptionError(
      'limits.rlimits',
      rlimits,
      'leave it out: this system has no resource limits'
    )
  }
  if (scope === undefined || platform.listsProcesses) return
  const [[name, value] = []] = Object.entries(scope)
  const wayOut = 'leave it out, or install `ps`: without it, no process can be looked at here'
  throw new SubprocessOptionError(`limits.${name}`, value, wayOut)
}
