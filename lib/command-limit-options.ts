/** How many commands may run at once and how many may wait, as options: how they are validated and merged. */

import { SubprocessOptionError } from './errors.js'

/** How many commands may run at once, and how many may wait. What is left out is not limited. */
export interface CommandLimitOptions {
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

/** The numbers of the server, and those that a route or a job adds to them. */
export interface ResolvedCommandLimits {
  readonly ofServer: CommandLimits
  readonly own: OwnCommandLimits | undefined
}

export const commandLimitNames: readonly (keyof CommandLimitOptions)[] = ['concurrency', 'queue']

/** Any number may run. */
export const unlimited: CommandLimits = {
  concurrency: Number.POSITIVE_INFINITY,
  queue: Number.POSITIVE_INFINITY
}

/**
 * The numbers of a server. Undefined if no command ever waits. `option` is the user's name for the object.
 * @throws {SubprocessOptionError} a TypeError.
 */
export function serverCommandLimits(
  option: string,
  given: CommandLimitOptions
): ResolvedCommandLimits | undefined {
  checkNumbers(option, given)
  const { concurrency, queue } = given
  if (concurrency === undefined && queue === undefined) return undefined
  if (concurrency === undefined) throw queueWithoutConcurrency(option, queue)
  return { ofServer: merged(unlimited, given), own: undefined }
}

/**
 * The numbers of a route or a job, merged key by key with those of `base`: of the server, and of an outer route.
 * @throws {SubprocessOptionError} a TypeError.
 */
export function routeCommandLimits(
  option: string,
  given: CommandLimitOptions,
  base: ResolvedCommandLimits | undefined,
  givenAs: object
): ResolvedCommandLimits | undefined {
  checkNumbers(option, given)
  const { concurrency, queue } = given
  if (concurrency === undefined && queue === undefined) return base
  const { ofServer, own = unlimited } = base ?? { ofServer: unlimited }
  const isConcurrencyLimited =
    Number.isFinite(ofServer.concurrency) || Number.isFinite(own.concurrency) || concurrency !== undefined
  if (!isConcurrencyLimited) throw queueWithoutConcurrency(option, queue)
  return { ofServer, own: { ...merged(own, given), givenAs } }
}

function merged(base: CommandLimits, { concurrency, queue }: CommandLimitOptions): CommandLimits {
  return { concurrency: concurrency ?? base.concurrency, queue: queue ?? base.queue }
}

function checkNumbers(option: string, { concurrency, queue }: CommandLimitOptions): void {
  checkCount(`${option}.concurrency`, concurrency, 1)
  checkCount(`${option}.queue`, queue, 0)
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
