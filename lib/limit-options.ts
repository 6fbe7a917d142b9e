/** The option `limits`, of a guard, a route or a job: its type, and how it is validated and merged. */

import { SubprocessOptionError } from './errors.js'
import { ownOf, refuseUnknown } from './validate-option.js'

/** What the commands of a guard, a route or a job may use. What is left out is not limited. */
export interface Limits {
  /**
   * How many commands run at once. The next ones wait for their turn, within their deadline: first in, first
   * out within a route, and in turn between routes. The number of the server counts the commands of all
   * routes and jobs, that of a route those of all its requests, and that of a job its own.
   */
  concurrency?: number
  /**
   * How many commands may wait. The next call throws `ERR_SUBPROCESS_BUSY` (503, with `Retry-After`). Default:
   * any number.
   */
  queue?: number
}

/** How many commands may run at once, and how many may wait. `Infinity` for no limit. */
export interface CommandLimits {
  readonly concurrency: number
  readonly queue: number
}

/** The limits of a route or a job. */
export interface OwnCommandLimits extends CommandLimits {
  /** The user's object. It identifies the limits where no route has a name. */
  readonly givenAs: object
}

/** The option after validation. */
export interface ResolvedLimits {
  /** Undefined if no command ever waits. */
  readonly commands:
    | { readonly ofServer: CommandLimits; readonly own: OwnCommandLimits | undefined }
    | undefined
}

/** Nothing is limited. */
export const noLimits: ResolvedLimits = { commands: undefined }

/** Any number may run. */
export const unlimited: CommandLimits = {
  concurrency: Number.POSITIVE_INFINITY,
  queue: Number.POSITIVE_INFINITY
}

/**
 * The limits of a guard. `option` is the user's name for the option.
 * @throws {SubprocessOptionError} a TypeError.
 */
export function serverLimits(option: string, given: unknown): ResolvedLimits {
  if (given === undefined) return noLimits
  const limits = checkedLimits(option, given)
  const { concurrency, queue } = limits
  if (concurrency === undefined && queue === undefined) return noLimits
  if (concurrency === undefined) throw queueWithoutConcurrency(option, queue)
  return { commands: { ofServer: merged(unlimited, limits), own: undefined } }
}

/**
 * The limits of a route or a job, merged key by key with those of `base`: of the guard, and of an outer route.
 * @throws {SubprocessOptionError} a TypeError.
 */
export function routeLimits(option: string, given: unknown, base: ResolvedLimits): ResolvedLimits {
  if (given === undefined) return base
  const limits = checkedLimits(option, given)
  const { concurrency, queue } = limits
  if (concurrency === undefined && queue === undefined) return base
  const { ofServer, own = unlimited } = base.commands ?? { ofServer: unlimited }
  const isConcurrencyLimited =
    Number.isFinite(ofServer.concurrency) || Number.isFinite(own.concurrency) || concurrency !== undefined
  if (!isConcurrencyLimited) throw queueWithoutConcurrency(option, queue)
  return { commands: { ofServer, own: { ...merged(own, limits), givenAs: given as object } } }
}

function merged(base: CommandLimits, { concurrency, queue }: Limits): CommandLimits {
  return { concurrency: concurrency ?? base.concurrency, queue: queue ?? base.queue }
}

/** The limits without inherited properties. */
function checkedLimits(option: string, given: unknown): Limits {
  if (given === null || typeof given !== 'object' || Array.isArray(given)) {
    const wayOut = 'set it to an object such as { concurrency: 8, queue: 100 }'
    throw new SubprocessOptionError(option, given, wayOut)
  }
  refuseUnknown(given, ['concurrency', 'queue'], `${option}.`)
  const limits = ownOf<Limits>(given)
  checkCount(`${option}.concurrency`, limits.concurrency, 1)
  checkCount(`${option}.queue`, limits.queue, 0)
  return limits
}

function checkCount(option: string, value: unknown, least: number): void {
  if (value === undefined || (Number.isSafeInteger(value) && (value as number) >= least)) return
  const wayOut = `set it to a whole number, ${least} or more, or leave it out for no limit`
  throw new SubprocessOptionError(option, value, wayOut)
}

function queueWithoutConcurrency(option: string, queue: unknown): SubprocessOptionError {
  const wayOut = `no command waits without a limit of concurrency: set ${option}.concurrency, too`
  return new SubprocessOptionError(`${option}.queue`, queue, wayOut)
}
