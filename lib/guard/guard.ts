/** The guard: all open scopes of a worker, and its share in the keeper. */

import type { ChildProcess } from 'node:child_process'
import pTimeout from 'p-timeout'
import type { CloseReason, CutReason } from '../close-reason.js'
import { SubprocessError, SubprocessOptionError } from '../errors.js'
import type { KeeperLink } from '../link/keeper-link.js'
import { type KeeperShare, shareKeeper } from '../link/shared-keeper.js'
import { defaultLogger, type Logger } from '../log.js'
import {
  abortSignal,
  ownOf,
  type ResolvedOptions,
  type ResolvedRouteOptions,
  type RouteGuardOptions,
  resolveOptions,
  resolveRouteOptions,
  type SubprocessGuardOptions
} from '../options.js'
import { statOf } from '../platform/current.js'
import { type Adopt, captureIn, startCapture } from '../subprocess/capture.js'
import { CaptureRule } from '../subprocess/capture-rule.js'
import { abridgedForLog } from '../subprocess/exec-error.js'
import { logIfUnhandled } from '../subprocess/logged-promise.js'
import { Deadlines } from '../time/expiry-queue.js'
import type { RouteLookup } from '../watch/route-lookup.js'
import type { Containment } from '../wire/messages.js'
import { JobDeadline } from './job-deadline.js'
import { endLate } from './late-process.js'
import { errorOfReason, isOfReason, Scope, type ScopeContext } from './scope.js'

/** Options of a scope outside any request. What is left out is as in the guard's options. */
export interface JobOptions extends RouteGuardOptions {
  /** Closes the scope when it is aborted. */
  signal?: AbortSignal
}

/** Options of `createGuard`. */
export interface GuardOptions extends Omit<SubprocessGuardOptions, 'drain'> {
  /** How long jobs of `run` may go on at `close()` before their scopes close, in ms. Default 0. */
  drain?: number
  /** Where the guard's lines go. Default: JSON lines on standard error, for warnings and errors. */
  logger?: Logger
}

type CutShort = (reason: CutReason, isConcerned: (scope: Scope) => boolean) => void

// The processes of a job are gone, and its streams and promises tell of it in their own time: what then becomes of it is
// the cause of its error. One that hangs is not waited for any longer.
const failsWithinMs = 100

// Of all guards of this worker, so that the log tells their scopes apart.
let lastScope = 0

/** All open scopes of a worker, or of one context of a framework. */
export class Guard {
  #share!: KeeperShare
  readonly #options: ResolvedOptions
  /** Undefined where nothing is captured. */
  readonly #capture: CaptureRule | undefined
  readonly #log: Logger
  /** How long `close()` waits for jobs, in ms. An adapter has waited before. */
  readonly #closeDrainMs: number
  readonly #scopes = new Set<Scope>()
  readonly #jobs = new Deadlines<JobDeadline>()
  readonly #onCutShort: CutShort[] = []
  /** Jobs of `run` that have not ended. */
  readonly #running = new Set<Promise<unknown>>()
  readonly #lookups: RouteLookup[] = []
  #stopCapture = (): void => {}
  #state: 'open' | 'refusing' | 'closed' = 'open'
  #closing: Promise<void> | undefined

  /**
   * @internal Starts the keeper, or shares the one of this worker. Rejects with `ERR_SUBPROCESS_KEEPER_START`.
   */
  static async start(options: ResolvedOptions, log: Logger, closeDrainMs = 0): Promise<Guard> {
    const guard = new Guard(options, log, closeDrainMs)
    const { graceMs, killSignal, workerTimeoutMs, hooks, keeperPath } = options
    guard.#share = await shareKeeper({
      settings: { graceMs, killSignal, workerTimeoutMs },
      hooks,
      keeperPath,
      log,
      routeOf: (value) => guard.#routeOf(value),
      keeperLost: (link) => void guard.#closeAll('keeper-lost', link)
    })
    guard.#stopCapture = options.capture ? startCapture() : () => {}
    return guard
  }

  private constructor(options: ResolvedOptions, log: Logger, closeDrainMs: number) {
    this.#options = options
    this.#capture = options.capture && new CaptureRule(options.capture.except)
    this.#log = log
    this.#closeDrainMs = closeDrainMs
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
    const running = this.#run(options, job)
    this.#running.add(running)
    const over = (): void => void this.#running.delete(running)
    running.then(over, over)
    return logIfUnhandled(running, (error) => this.#logUnasked(error, ownOf(options).signal))
  }

  async #run<Result>(options: JobOptions, job: (scope: Scope) => Promise<Result> | Result): Promise<Result> {
    if (typeof job !== 'function') throw new SubprocessOptionError('job', job, 'give a function')
    const { signal } = ownOf(options)
    const scope = this.open(options)
    let end: CloseReason = 'failed'
    let cause: unknown
    const settled = this.captureIn(
      (child) => adoptOrEnd(scope, child),
      async () => job(scope)
    )
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
   * Runs a function outside of any request: with `capture`, children that it creates belong to no request, nor do those
   * that it creates later, in promises, timers and events of these children. For what requests share, such as a pool of
   * processes. What it starts by a scope belongs to that scope all the same. Without `capture` it just calls the
   * function. Returns what the function returns.
   *
   * @throws {TypeError} for what is no function.
   */
  outside<Result>(task: () => Result): Result {
    if (typeof task !== 'function') throw new SubprocessOptionError('task', task, 'give a function')
    return captureIn(undefined, task)
  }

  /**
   * Opens a scope outside any request; `close()` is up to the caller, or `await using`. Without a `timeout` it has
   * the guard's.
   *
   * @throws {TypeError} for a wrong option.
   * @throws {SubprocessError} when the guard is closed, or its keeper is lost.
   */
  open(options: JobOptions = {}): Scope {
    const { signal: givenSignal, ...times } = ownOf(options)
    const signal = abortSignal('signal', givenSignal)
    const { timeoutMs, ...ending } = resolveRouteOptions(
      times,
      this.#options,
      'options'
    ) as ResolvedRouteOptions
    if (signal?.aborted) throw signal.reason
    const job = new JobDeadline(this.#jobs)
    this.#jobs.start(job, timeoutMs)
    const scope = this.#openFor(job, ending)
    if (signal !== undefined) {
      const close = (): void => void scope.close('closed')
      signal.addEventListener('abort', close, { once: true })
      void scope.closed.then(() => signal.removeEventListener('abort', close))
    }
    return scope
  }

  /** @internal Calls back before all scopes close, or some. */
  onCutShort(callback: CutShort): void {
    this.#onCutShort.push(callback)
  }

  /** @internal Resolves when the jobs have ended that run now, and the others that are given, after so many ms at the latest. */
  async drained(ms: number, others: readonly Promise<void>[] = []): Promise<void> {
    // p-timeout takes no 0.
    if (ms <= 0) return
    const ends = Promise.allSettled([...this.#running, ...others])
    await pTimeout(ends, { milliseconds: ms, fallback: () => [] })
  }

  /** @internal Tells which values are requests, so that it can be said which of them blocks the event loop. */
  onWhere(lookup: RouteLookup): void {
    this.#lookups.push(lookup)
  }

  /** @internal Whether children that libraries create are to be adopted. */
  get captures(): boolean {
    return this.#capture !== undefined
  }

  /** @internal Runs a function so that children that are created in its course are adopted, but for those that are left out. */
  captureIn<Result>(adopt: Adopt, act: () => Result): Result {
    const capture = this.#capture
    if (capture === undefined) return captureIn(undefined, act)
    return captureIn((child) => {
      if (capture.covers(child)) adopt(child)
    }, act)
  }

  /** @internal Ends what a library started when its request was over. */
  endLate({ pid }: { readonly pid?: number | undefined }, log: Logger, route: string | undefined): void {
    const startTick = pid === undefined ? undefined : statOf(pid)?.startTick
    if (pid === undefined || startTick === undefined) return
    void endLate(this.#share.presentLink(), { pid, startTick }, { ...this.#options, log, route })
  }

  /** @internal Opens a scope. Throws when the guard is closed or its keeper is lost. */
  openScope(context: Omit<ScopeContext, 'launch'>): Scope {
    if (this.#state !== 'open') throw new SubprocessError('ERR_SUBPROCESS_SHUTDOWN')
    const { launch } = this.#options
    const links = {
      next: () => this.#ifOpen(this.#share.nextLink()),
      present: () => this.#ifOpen(this.#share.presentLink())
    }
    const scope = new Scope(`${process.pid}.${++lastScope}`, links, { ...context, launch })
    this.#scopes.add(scope)
    void scope.closed.then(() => this.#scopes.delete(scope))
    return scope
  }

  /** @internal Opens no more scopes. */
  refuse(): void {
    if (this.#state === 'open') this.#state = 'refusing'
  }

  /**
   * Lets jobs of `run` go on for the `drain` of `createGuard`, then closes every scope with `shutdown`, and resolves when all
   * their processes are gone, and the keeper too unless another guard uses it.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  #openFor(
    job: JobDeadline,
    options: Pick<ScopeContext, 'graceMs' | 'killSignal' | 'firstSignalTo' | 'privateTmp'>
  ): Scope {
    try {
      job.scope = this.openScope({ ...options, log: this.#log, route: undefined, term: job })
      return job.scope
    } catch (error) {
      job.queue?.remove(job)
      throw error
    }
  }

  #logUnasked(error: unknown, signal: AbortSignal | undefined): void {
    const wasCutShort = isOfReason(error) || (signal?.aborted && error === signal.reason)
    const level = this.#state === 'open' && !wasCutShort ? 'error' : 'info'
    this.#log[level]({ err: abridgedForLog(error) }, 'a job failed and nobody listens to its error')
  }

  #routeOf(value: unknown): string | undefined {
    for (const lookup of this.#lookups) {
      const route = lookup(value)
      if (route !== undefined) return route
    }
    return undefined
  }

  #ifOpen(link: KeeperLink): KeeperLink {
    if (link.isOpen && !link.isRetired) return link
    const detail = `there will be another one in ${this.#share.absentMs} ms`
    throw new SubprocessError('ERR_SUBPROCESS_KEEPER_LOST', detail)
  }

  /** With a link: all scopes that have commands at that keeper. */
  async #closeAll(reason: CutReason, link?: KeeperLink): Promise<void> {
    const isConcerned = (scope: Scope): boolean => link === undefined || scope.isAt(link)
    for (const callback of this.#onCutShort) callback(reason, isConcerned)
    const concerned = this.scopes().filter(isConcerned)
    await Promise.all(concerned.map((scope) => scope.close(reason)))
  }

  async #close(): Promise<void> {
    this.refuse()
    await this.drained(this.#closeDrainMs)
    await this.#closeAll('shutdown')
    this.#state = 'closed'
    this.#jobs.clear()
    this.#stopCapture()
    await this.#share.release()
  }
}

/** A job may start something when its scope is closed. */
function adoptOrEnd(scope: Scope, child: ChildProcess): void {
  try {
    scope.adopt(child)
  } catch {
    // The scope ends it and says so; a library that has started it is not told.
  }
}

/** Whether a job lost its scope before it ended. One that closes its own scope goes on. */
function isCutShort(scope: Scope, signal: AbortSignal | undefined): boolean {
  return scope.reason !== undefined && (scope.reason !== 'closed' || signal?.aborted === true)
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
export async function createGuard(given: GuardOptions = {}): Promise<Guard> {
  const own = ownOf(given)
  const { logger, ...options } = own
  const resolved = resolveOptions(options)
  const drainMs = own.drain === undefined ? 0 : resolved.drainMs
  return Guard.start(resolved, logger ?? defaultLogger, drainMs)
}
