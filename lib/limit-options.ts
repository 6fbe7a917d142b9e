/** The option `limits`, of a guard, a route or a job: its type, and how it is validated and merged. */

import { SubprocessOptionError } from './errors.js'
import { scopeLimitNames, scopeLimitsOf } from './scope-limit-options.js'
import type { ScopeLimits } from './scope-limits.js'
import { ownOf, refuseUnknown } from './validate-option.js'

/** What the commands of a guard, a route or a job may use. What is left out is not limited. */
export interface Limits extends ScopeLimits {}

/** The option after validation. */
export interface ResolvedLimits {
  /** What the keeper watches; undefined if it is nothing. */
  readonly scope: ScopeLimits | undefined
}

export const noLimits: ResolvedLimits = { scope: undefined }

export function limitsOf(option: string, given: unknown, base: ResolvedLimits): ResolvedLimits {
  if (given === undefined) return base
  if (given === null || typeof given !== 'object' || Array.isArray(given)) {
    throw new SubprocessOptionError(option, given, 'set it to an object such as { memory: 512e6 }')
  }
  refuseUnknown(given, scopeLimitNames, `${option}.`)
  const limits = ownOf<Limits>(given)
  return { scope: scopeLimitsOf(option, limits, base.scope) }
}
