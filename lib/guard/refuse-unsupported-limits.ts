/** Refuses limits that cannot be set or watched here. */

import type { Containment } from '../containment-level.js'
import { SubprocessOptionError } from '../errors.js'
import type { ResolvedLimits } from '../limit-options.js'
import { platform } from '../platform/current.js'

/** Throws a TypeError. */
export function refuseUnsupportedLimits({ rlimits, scope }: ResolvedLimits, containment: Containment): void {
  if (rlimits !== undefined && platform.limiterOf === undefined) {
    throw new SubprocessOptionError(
      'limits.rlimits',
      rlimits,
      'leave it out: this system has no resource limits'
    )
  }
  if (scope === undefined) return
  const wayOut = platform.whyNoScopeLimits(containment)
  if (wayOut === undefined) return
  const [[name, value] = []] = Object.entries(scope)
  throw new SubprocessOptionError(`limits.${name}`, value, wayOut)
}
