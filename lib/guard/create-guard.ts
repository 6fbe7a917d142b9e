/** Creates a guard without a framework. */

import { defaultLogger, type Logger } from '../log.js'
import { resolveOptions, type SubprocessGuardOptions } from '../options.js'
import { ownOf } from '../validate-option.js'
import { Guard } from './guard.js'

/** Options of `createGuard`. */
export interface GuardOptions extends Omit<SubprocessGuardOptions, 'drain'> {
  /** How long `close()` waits for jobs of `run()` before it closes their scopes, in ms. Default 0. */
  drain?: number
  /** The logger of the guard. Default: warnings and errors as JSON lines on standard error. */
  logger?: Logger
}

/**
 * Creates a guard without a framework: for jobs and scripts, and for adapters to other frameworks. Resolves
 * when its keeper is ready.
 *
 * @throws {TypeError} for an invalid option, by rejection.
 * @throws {SubprocessError} `ERR_SUBPROCESS_KEEPER_START`, by rejection, if the keeper cannot be started.
 */
export async function createGuard(given: GuardOptions = {}): Promise<Guard> {
  const own = ownOf(given)
  const { logger, ...options } = own
  const resolved = resolveOptions(options)
  const drainMs = own.drain === undefined ? 0 : resolved.drainMs
  return Guard.start(resolved, logger ?? defaultLogger, drainMs)
}
