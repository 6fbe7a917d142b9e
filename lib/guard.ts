/** The guard: all open scopes of a worker, and its share in the keeper. */

import pTimeout from 'p-timeout'
import { type Adopt, captureIn, startCapture } from './capture.js'
import type { CloseReason } from './close-reason.js'
import { Deadlines } from './deadline.js'
import { SubprocessError, SubprocessOptionError } from './errors.js'
import { briefOf } from './exec.js'
import { Job } from './job.js'
import type { Containment } from './keeper/protocol.js'
import { type KeeperShare, shareKeeper } from './keeper/share.js'
import { endLate } from './late.js'
import { defaultLogger, type Logger } from './log.js'
import { logged } from './logged-promise.js'
import {
  abortSignal,
  type ResolvedOptions,
  type ResolvedRouteOptions,
  type RouteGuardOptions,
  resolveOptions,
  resolveRouteOptions,
  type SubprocessGuardOptions
} from './options.js'
import { statOf } from './platform/linux.js'
import { errorOfReason, isOfReason, Scope, type ScopeContext } from './scope.js'
import type { RouteLookup } from './watch/route-lookup.js'

/** Options of a scope outside any request. What is left out is as in the guard's options. */
export interface JobOptions extends RouteGuardOptions {
  /** Closes the scope when it is aborted. */
  signal?: AbortSignal
}

/** Options of `createGuard`. */
export interface GuardOptions extends Omit<SubprocessGuardOptions, 'drain'> {
  /** Where the guard's lines go. Default: JSON lines on standard error, for warnings and errors. */
  logger?: Logger
}

// The processes of a job are gone, and its streams and promises tell of it in their own time: what then becomes of it is
// the cause of its error. One that hangs is not waited for any longer.
const failsWithinMs = 100

// Of all guards of this worker, so that the log tells their scopes apart.
let lastScope = 0

/** All open scopes of a worker, or of one context of a framework. */
export class Guard {
  #share!: KeeperShare
  readonly #options: ResolvedOptions
  readonly #log: Logger
  readonly #scopes = new Set<Scope>()
  readonly #jobs = new Deadlines<Job>()
  readonly #keeperLost: (() => void)[] = []
  readonly #lookups: RouteLookup[] = []
  #stopCapture = (): void => {}
  #state: 'open' | 'refusing' | 'closed' = 'open'
  #closing: Promise<void> | undefined

  /**
   * @internal Starts the keeper, or shares the one of this worker. Rejects with `ERR_SUBPROCESS_KEEPER_START`.
   */
  static async start(options: ResolvedOptions, log: Logger): Promise<Guard> {
    const guard = new Guard(options, log)
    const { graceMs, killSignal, workerTimeoutMs, hooks } = options
    guard.#share = await shareKeeper({
      settings: { graceMs, killSignal, workerTimeoutMs },
      hooks,
      log,
      routeOf: (value) => guard.#routeOf(value),
      keeperLost: () => guard.#closeWithKeeper()
    })
    guard.#stopCapture = options.capture ? startCapture() : () => {}
    return guard
  }

  private constructor(options: ResolvedOptions, log: Logger) {
    this.#options = options
    this.#log = log
  }

  /** How the processes of a scope are found on this machine: `subreaper`, or the weaker `marks`. */
  get containment(): Containment {
    return this.#share.containment
  }

  /** Process id of the keeper; 0 while there is none. */
  get keeper(): number {
    return this.#share.link.isOpen ? this.#share.link.pid : 0
  }

  /** The scopes that are not closed yet. */
  scopes(): Scope[] {
    return [...this.#scopes]
  }

  /**
   * Runs a job in a scope of its own. Resolves with what it returns, when every process of the scope is gone.
   * At the deadline, at an abort and at shutdown the scope closes and the promise rejects, whether the job has
   * ended or not. A job that closes its own scope goes on. A rejection that nobody has asked for when it comes is a line in
   * the log and never an unhandled rejection.
   *
   * @throws {TypeError} for a wrong option.
   * @throws {SubprocessError} `ERR_SUBPROCESS_DEADLINE`, `ERR_SUBPROCESS_SHUTDOWN` or
   *   `ERR_SUBPROCESS_KEEPER_LOST`.
   * @throws the reason of the `signal` when that is aborted, and what the job throws.
   */
  run<Result>(options: JobOptions, job: (scope: Scope) => Promise<Result> | Result): Promise<Result> {
    return logged(this.#run(options, job), (error) => this.#logUnasked(error, options.signal))
  }

  async #run<Result>(options: JobOptions, job: (scope: Scope) => Promise<Result> | Result): Promise<Result> {
    if (typeof job !== 'function') throw new SubprocessOptionError('job', job, 'give a function')
    const { signal } = options
    const scope = this.open(options)
    let end: CloseReason = 'failed'
    let cause: unknown
    const adopt = this.#options.capture ? adoptWhileOpen(scope) : undefined
    const settled = captureIn(adopt, async () => job(scope))
    try {
      // With its processes the job loses what it waits for, so that its failure is not what went wrong.
      const result = await Promise.race([settled, cutShort(scope, signal)])
      if (!isCutShort(scope, signal)) {
        end = 'finished'
        return result
      }
    } catch (error) {
      if (!isCutShort(scope, signal)) throw error
      cause = await failureOf(settled)
    } finally {
      await scope.close(end)
    }
    if (signal?.aborted && scope.reason === 'closed') throw signal.reason
    throw errorOfReason(scope.reason as CloseReason, undefined, cause)
  }

  /**
   * Opens a scope outside any request; `close()` is up to the caller, or `await using`. Without a `timeout` it has
   * the guard's.
   *
   * @throws {TypeError} for a wrong option.
   * @throws {SubprocessError} when the guard is closed, or its keeper is lost.
   */
  open(options: JobOptions = {}): Scope {
    const { signal: givenSignal, ...times } = options
    const signal = abortSignal('signal', givenSignal)
    const { timeoutMs, graceMs, killSignal } = resolveRouteOptions(
      times,
      this.#options,
      'options'
    ) as ResolvedRouteOptions
    if (signal?.aborted) throw signal.reason
    const job = new Job(this.#jobs)
    this.#jobs.start(job, timeoutMs)
    const scope = this.#openFor(job, { graceMs, killSignal })
    if (signal !== undefined) {
      const close = (): void => void scope.close('closed')
      signal.addEventListener('abort', close, { once: true })
      void scope.closed.then(() => signal.removeEventListener('abort', close))
    }
    return scope
  }

  /** @internal Calls back before the scopes close with `keeper-lost`. */
  onKeeperLost(callback: () => void): void {
    this.#keeperLost.push(callback)
  }

  /** @internal Tells which values are requests, so that it can be said which of them blocks the event loop. */
  onWhere(lookup: RouteLookup): void {
    this.#lookups.push(lookup)
  }

  /** @internal Whether children that libraries create are to be adopted. */
  get captures(): boolean {
    return this.#options.capture
  }

  /** @internal Ends what a library started when its request was over. */
  endLate({ pid }: { readonly pid?: number | undefined }, log: Logger, route: string | undefined): void {
    const startTick = pid === undefined ? undefined : statOf(pid)?.startTick
    if (pid === undefined || startTick === undefined) return
    void endLate(this.#share.link, { pid, startTick }, { ...this.#options, log, route })
  }

  /** @internal Opens a scope. Throws when the guard is closed or its keeper is lost. */
  openScope(context: Omit<ScopeContext, 'launch'>): Scope {
    if (this.#state !== 'open') throw new SubprocessError('ERR_SUBPROCESS_SHUTDOWN')
    if (!this.#share.link.isOpen) {
      const detail = `there will be another one in ${this.#share.absentMs} ms`
      throw new SubprocessError('ERR_SUBPROCESS_KEEPER_LOST', detail)
    }
    const { launch } = this.#options
    const scope = new Scope(`${process.pid}.${++lastScope}`, this.#share.link, { ...context, launch })
    this.#scopes.add(scope)
    void scope.closed.then(() => this.#scopes.delete(scope))
    return scope
  }

  /** @internal Opens no more scopes. */
  refuse(): void {
    if (this.#state === 'open') this.#state = 'refusing'
  }

  /**
   * Closes every scope with `shutdown` and resolves when all their processes are gone, and the keeper too
   * unless another guard uses it.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  #openFor(job: Job, { graceMs, killSignal }: Pick<ScopeContext, 'graceMs' | 'killSignal'>): Scope {
    try {
      job.scope = this.openScope({ graceMs, killSignal, log: this.#log, route: undefined, term: job })
      return job.scope
    } catch (error) {
      job.queue?.remove(job)
      throw error
    }
  }

  #logUnasked(error: unknown, signal: AbortSignal | undefined): void {
    const wasCutShort = isOfReason(error) || (signal?.aborted && error === signal.reason)
    const level = this.#state === 'open' && !wasCutShort ? 'error' : 'info'
    this.#log[level]({ err: briefOf(error) }, 'a job failed and nobody listens to its error')
  }

  #routeOf(value: unknown): string | undefined {
    for (const lookup of this.#lookups) {
      const route = lookup(value)
      if (route !== undefined) return route
    }
    return undefined
  }

  #closeWithKeeper(): void {
    for (const callback of this.#keeperLost) callback()
    for (const scope of this.#scopes) void scope.close('keeper-lost')
  }

  async #close(): Promise<void> {
    this.refuse()
    await Promise.all(this.scopes().map((scope) => scope.close('shutdown')))
    this.#state = 'closed'
    this.#jobs.clear()
    this.#stopCapture()
    await this.#share.release()
  }
}

/** Whether a job lost its scope before it ended. One that closes its own scope goes on. */
function isCutShort(scope: Scope, signal: AbortSignal | undefined): boolean {
  return scope.reason !== undefined && (scope.reason !== 'closed' || signal?.aborted === true)
}

/** For a job that goes on when its scope has closed: what it starts then is ended all the same, so that nobody need be told. */
function adoptWhileOpen(scope: Scope): Adopt {
  return (child) => {
    try {
      scope.adopt(child)
    } catch (error) {
      if (!isOfReason(error)) throw error
    }
  }
}

/** What a job that was cut short fails with, now that what it waited for is gone; undefined where it hangs, or does not fail. */
async function failureOf(settled: Promise<unknown>): Promise<unknown> {
  const failure = settled.then(
    () => undefined,
    (error: unknown) => error
  )
  return pTimeout(failure, { milliseconds: failsWithinMs, fallback: () => undefined })
}

/** Rejects when a scope was closed under its job. */
async function cutShort(scope: Scope, signal: AbortSignal | undefined): Promise<never> {
  const { reason } = await scope.closed
  if (isCutShort(scope, signal)) throw errorOfReason(reason)
  return new Promise(() => {})
}

/**
 * A guard without a framework: every adapter is written on it.
 *
 * @throws {TypeError} for a wrong option.
 * @throws {SubprocessError} `ERR_SUBPROCESS_KEEPER_START`, by rejection.
 */
export async function createGuard({ logger, ...options }: GuardOptions = {}): Promise<Guard> {
  if ('drain' in options) {
    throw new SubprocessOptionError(
      'drain',
      options.drain,
      'it is for servers: leave it out, and close() the guard'
    )
  }
  return Guard.start(resolveOptions(options), logger ?? defaultLogger)
}
