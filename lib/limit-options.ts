/** The option `limits`, of a guard, a route or a job: its type, and how it is validated and merged. */

import {
  type CommandLimitOptions,
  commandLimitNames,
  type ResolvedCommandLimits,
  routeCommandLimits,
  serverCommandLimits
} from './command-limit-options.js'
import { SubprocessOptionError } from './errors.js'
import { type ResolvedRlimits, type Rlimits, rlimitsOf } from './rlimit-options.js'
import { type ScopeLimitOptions, scopeLimitNames, scopeLimitsOf } from './scope-limit-options.js'
import type { ScopeLimits } from './scope-limits.js'
import { ownOf, refuseUnknown } from './validate-option.js'

/** What the commands of a guard, a route or a job may use. What is left out is not limited. */
export interface Limits extends CommandLimitOptions, ScopeLimitOptions {
  /** The resource limits of each command (setrlimit(2)). Windows has none. Default: those of the server. */
  rlimits?: Rlimits
}

/** The option after validation. */
export interface ResolvedLimits {
  /** Undefined if no command ever waits. */
  readonly commands: ResolvedCommandLimits | undefined
  /** What the keeper watches; undefined if it is nothing. */
  readonly scope: ScopeLimits | undefined
  readonly rlimits: ResolvedRlimits | undefined
}

/** Nothing is limited. */
export const noLimits: ResolvedLimits = { commands: undefined, scope: undefined, rlimits: undefined }

const names = [...commandLimitNames, ...scopeLimitNames, 'rlimits']

/**
 * The limits of a guard. `option` is the user's name for the option.
 * @throws {SubprocessOptionError} a TypeError.
 */
export function serverLimits(option: string, given: unknown): ResolvedLimits {
  if (given === undefined) return noLimits
  const limits = checkedLimits(option, given)
  return {
    commands: serverCommandLimits(option, limits),
    scope: scopeLimitsOf(option, limits, undefined),
    rlimits: rlimitsOf(`${option}.rlimits`, limits.rlimits, undefined)
  }
}

/**
 * The limits of a route or a job, merged key by key with those of `base`: of the guard, and of an outer route.
 * @throws {SubprocessOptionError} a TypeError.
 */
export function routeLimits(option: string, given: unknown, base: ResolvedLimits): ResolvedLimits {
  if (given === undefined) return base
  const limits = checkedLimits(option, given)
  return {
    commands: routeCommandLimits(option, limits, base.commands, given as object),
    scope: scopeLimitsOf(option, limits, base.scope),
    rlimits: rlimitsOf(`${option}.rlimits`, limits.rlimits, base.rlimits)
  }
}

/** The limits without inherited properties. */
function checkedLimits(option: string, given: unknown): Limits {
  if (given === null || typeof given !== 'object' || Array.isArray(given)) {
    const wayOut = 'set it to an object such as { concurrency: 8, queue: 100, memory: 512e6 }'
    throw new SubprocessOptionError(option, given, wayOut)
  }
  refuseUnknown(given, names, `${option}.`)
  return ownOf<Limits>(given)
}
