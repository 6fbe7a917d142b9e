/** Refuses limits that this system cannot set. */

import { SubprocessOptionError } from '../errors.js'
import type { ResolvedLimits } from '../limit-options.js'
import { platform } from '../platform/current.js'

/** Throws a TypeError. */
export function refuseUnsupportedLimits({ rlimits }: ResolvedLimits): void {
  if (rlimits === undefined || platform.limiterOf !== undefined) return
  const wayOut = 'leave it out: this system has no resource limits'
  throw new SubprocessOptionError('limits.rlimits', rlimits, wayOut)
}
