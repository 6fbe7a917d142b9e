/** Runs a job in a scope of its own: `guard.run()`. */

import type { ChildProcess } from 'node:child_process'
import pTimeout from 'p-timeout'
import type { CloseReason } from '../close-reason.js'
import { SubprocessOptionError } from '../errors.js'
import type { RouteGuardOptions } from '../options.js'
import type { Adopt } from '../subprocess/capture.js'
import { ownOf } from '../validate-option.js'
import type { Scope } from './scope.js'

/** Options of a scope outside of requests. An option that is left out is that of the guard. */
export interface JobOptions extends RouteGuardOptions {
  /** Closes the scope when it aborts. */
  signal?: AbortSignal
}

type Job<Result> = (scope: Scope) => Promise<Result> | Result

/** What `runJob` needs of the guard. */
export interface JobRunner {
  open(options: JobOptions): Scope
  captureIn<Result>(adopt: Adopt, task: () => Result): Result
}

// How long to wait for a job that was cut short to fail, in ms. Its processes are gone, but its streams and
// promises still have to report that. The failure becomes the `cause` of the error. A job that hangs is not
// waited for.
const failsWithinMs = 100

/** See `Guard.run()`. */
export async function runJob<Result>(
  guard: JobRunner,
  options: JobOptions,
  job: Job<Result>
): Promise<Result> {
  if (typeof job !== 'function') throw new SubprocessOptionError('job', job, 'give a function')
  const { signal } = ownOf(options)
  const scope = guard.open(options)
  let closeReason: CloseReason = 'failed'
  let cause: unknown
  const settled = guard.captureIn(
    (child) => adoptOrEnd(scope, child),
    async () => job(scope)
  )
  try {
    const result = await Promise.race([settled, rejectWhenCutShort(scope, signal)])
    if (!isCutShort(scope, signal)) {
      closeReason = 'finished'
      return result
    }
  } catch (error) {
    if (!isCutShort(scope, signal)) throw error
    // The job fails because its processes were ended. That failure becomes the cause of the error.
    cause = await failureOf(settled)
  } finally {
    await scope.close(closeReason)
  }
  if (signal?.aborted && scope.reason === 'closed') throw signal.reason
  throw scope.closedError(cause)
}

/** Adopts a captured child. A job may still start one after its scope has closed. */
function adoptOrEnd(scope: Scope, child: ChildProcess): void {
  try {
    scope.adopt(child)
  } catch {
    // The scope ends and logs it. The library that started it must not see an error.
  }
}

/** Whether the scope was closed before the job ended, and not by the job itself: such a job goes on. */
function isCutShort(scope: Scope, signal: AbortSignal | undefined): boolean {
  return scope.reason !== undefined && (scope.reason !== 'closed' || signal?.aborted === true)
}

/** Rejects if the job is cut short, when its scope is closed. */
async function rejectWhenCutShort(scope: Scope, signal: AbortSignal | undefined): Promise<never> {
  await scope.closed
  if (isCutShort(scope, signal)) throw scope.closedError()
  return new Promise(() => {})
}

/** The error of a job that was cut short; undefined if it does not fail in time. */
async function failureOf(settled: Promise<unknown>): Promise<unknown> {
  const failure = settled.then(
    () => undefined,
    (error: unknown) => error
  )
  return pTimeout(failure, { milliseconds: failsWithinMs, fallback: () => undefined })
}
