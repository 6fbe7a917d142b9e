/** The option `limits`: what the commands of a scope may use. */

import { SubprocessOptionError } from './errors.js'
import { type ResolvedRlimits, type Rlimits, rlimitsOf } from './rlimit-options.js'
import { ownOf, refuseUnknown } from './validate-option.js'

/** What the commands of a scope may use. A key that is left out is that of the guard. */
export interface Limits {
  /** The resource limits of each command (setrlimit(2)). Windows has none. Default: those of the server. */
  rlimits?: Rlimits
}

/** The limits after validation. */
export interface ResolvedLimits {
  readonly rlimits?: ResolvedRlimits | undefined
}

const names = ['rlimits']

/** Validates the option of this name, and overrides `base` key by key. */
export function limitsOf(option: string, value: unknown, base: ResolvedLimits): ResolvedLimits {
  if (value === undefined) return base
  if (value === null || typeof value !== 'object' || Array.isArray(value)) {
    throw new SubprocessOptionError(option, value, 'set it to an object such as { rlimits: { core: 0 } }')
  }
  refuseUnknown(value, names, `${option}.`)
  const { rlimits } = ownOf<{ rlimits?: unknown }>(value)
  return { rlimits: rlimitsOf(`${option}.rlimits`, rlimits, base.rlimits) }
}
