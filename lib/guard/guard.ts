/** The guard: all open scopes of a worker, and its share in the keeper. */

import pTimeout from 'p-timeout'
import type { CutReason } from '../close-reason.js'
import { unlimited } from '../command-limit-options.js'
import type { Containment } from '../containment-level.js'
import { SubprocessError, SubprocessOptionError } from '../errors.js'
import type { ResolvedLimits } from '../limit-options.js'
import type { KeeperLink } from '../link/keeper-link.js'
import { type KeeperShare, shareKeeper } from '../link/shared-keeper.js'
import type { Logger } from '../log.js'
import { type ResolvedOptions, type ResolvedRouteOptions, resolveRouteOptions } from '../options.js'
import { platform } from '../platform/current.js'
import { type Adopt, captureIn, startCapture } from '../subprocess/capture.js'
import { CaptureRule } from '../subprocess/capture-rule.js'
import { abridgedForLog } from '../subprocess/exec-error.js'
import { logIfUnhandled } from '../subprocess/logged-promise.js'
import { Deadlines } from '../time/deadlines.js'
import { abortSignal, ownOf } from '../validate-option.js'
import type { RouteLookup } from '../watch/route-lookup.js'
import { endLateProcess } from './end-late-process.js'
import { type GuardLoad, loadOf } from './guard-load.js'
import { type GuardUsage, usageOf } from './guard-usage.js'
import { JobDeadline } from './job-deadline.js'
import { LaunchPlaces } from './launch-places.js'
import { refuseUnsupportedLimits } from './refuse-unsupported-limits.js'
import { type JobOptions, runJob } from './run-job.js'
import { Scope } from './scope.js'
import { isScopeClosedError } from './scope-closed-error.js'
import type { ScopeContext } from './scope-context.js'
import { ScopePlaces } from './scope-places.js'

/** Called before scopes close for this reason. Only the requests whose scope `isAffected` are cut short. */
type CutShortListener = (reason: CutReason, isAffected: (scope: Scope) => boolean) => void

// Shared by all guards of this worker, so that the ids of their scopes differ.
let lastScope = 0

/** All open scopes of a worker, or of one context of a framework. */
export class Guard {
  #keeperShare!: KeeperShare
  readonly #options: ResolvedOptions
  /** Undefined if nothing is captured. */
  readonly #capture: CaptureRule | undefined
  readonly #log: Logger
  /** How long `close()` waits for jobs, in ms. 0 for a framework: its adapter has waited before. */
  readonly #closeDrainMs: number
  readonly #scopes = new Set<Scope>()
  readonly #jobDeadlines = new Deadlines<JobDeadline>()
  readonly #cutShortListeners: CutShortListener[] = []
  /** The promises of `run()` that have not settled. */
  readonly #runningJobs = new Set<Promise<unknown>>()
  readonly #routeLookups: RouteLookup[] = []
  /** Undefined until a scope has limits. */
  #places: LaunchPlaces | undefined
  #stopCapture = (): void => {}
  #state: 'open' | 'refusing' | 'closed' = 'open'
  #closing: Promise<void> | undefined

  /**
   * @internal Starts the keeper, or shares the one that this worker has. Rejects with
   * `ERR_SUBPROCESS_KEEPER_START`.
   */
  static async start(options: ResolvedOptions, log: Logger, closeDrainMs = 0): Promise<Guard> {
    const guard = new Guard(options, log, closeDrainMs)
    const { graceMs, killSignal, workerTimeoutMs, hooks, keeperPath, noNewPrivileges, containment } = options
    guard.#keeperShare = await shareKeeper({
      settings: { graceMs, killSignal, workerTimeoutMs },
      hooks,
      keeperPath,
      noNewPrivileges,
      containment,
      log,
      routeOf: (value) => guard.#routeOf(value),
      keeperLost: (link) => void guard.#closeScopes('keeper-lost', link)
    })
    try {
      refuseUnsupportedLimits(options.limits, guard.containment)
    } catch (error) {
      await guard.#keeperShare.release()
      throw error
    }
    guard.#stopCapture = options.capture ? startCapture() : () => {}
    return guard
  }

  private constructor(options: ResolvedOptions, log: Logger, closeDrainMs: number) {
    this.#options = options
    this.#capture = options.capture && new CaptureRule(options.capture.except)
    this.#log = log
    this.#closeDrainMs = closeDrainMs
  }

  /** How the processes of a scope are found on this machine. */
  get containment(): Containment {
    return this.#keeperShare.containment
  }

  /** The pid of the keeper; 0 while there is none. */
  get keeper(): number {
    return this.#keeperShare.link.isOpen ? this.#keeperShare.link.pid : 0
  }

  /** The scopes that are open or closing. */
  scopes(): Scope[] {
    return [...this.#scopes]
  }

  /**
   * How many commands run, and how many wait for their place. Cheap enough for every request: without
   * `limits.concurrency` of the server, it takes longer if more scopes are open.
   *
   * Adopted, captured and released processes are not counted, nor is what a command has started.
   */
  get load(): GuardLoad {
    return loadOf(this.#scopes, this.#places)
  }

  /**
   * What the living processes of all scopes use now: their number, memory and processor time. Released
   * processes, the keeper and the worker are not included. All numbers are 0 if no process is alive.
   *
   * The keeper scans the processes for it as `Scope.list()` does, once for each open scope: call it about once
   * per second, as health checks do, and not for each request.
   *
   * Rejects as `Scope.list()` does, with `code` EMFILE or ENFILE, if the keeper has had no free descriptor for
   * 5 s.
   */
  usage(): Promise<GuardUsage> {
    return usageOf(this.#scopes)
  }

  /**
   * Runs a job in a scope of its own. Resolves with the result of the job when every process of the scope is
   * gone.
   *
   * When the deadline passes, the `signal` aborts, the guard closes or the keeper is lost, the scope closes
   * and the promise rejects, whether the job has ended or not. A job that closes its own scope goes on. A
   * rejection that is not handled when it occurs is logged; it never becomes an unhandled rejection.
   *
   * @throws {TypeError} for an invalid option. All errors are rejections.
   * @throws {SubprocessError} `ERR_SUBPROCESS_DEADLINE`, `ERR_SUBPROCESS_SHUTDOWN` or
   *   `ERR_SUBPROCESS_KEEPER_LOST`.
   * @throws the reason of the `signal` if that aborts, and what the job throws.
   */
  run<Result>(options: JobOptions, job: (scope: Scope) => Promise<Result> | Result): Promise<Result> {
    const running = runJob(this, options, job)
    this.#runningJobs.add(running)
    const remove = (): void => void this.#runningJobs.delete(running)
    running.then(remove, remove)
    return logIfUnhandled(running, (error) => this.#logUnhandled(error, ownOf(options).signal))
  }

  /**
   * Calls a function outside of any request and returns its result. With the option `capture`, no request
   * adopts the child processes that the function creates, at once or later, in its promises and timers and in
   * events of these children. Use it for what requests share, such as a process pool. What the function
   * starts through a scope still belongs to that scope. Without `capture`, it only calls the function.
   *
   * @throws {TypeError} if `task` is not a function.
   */
  outside<Result>(task: () => Result): Result {
    if (typeof task !== 'function') throw new SubprocessOptionError('task', task, 'give a function')
    return captureIn(undefined, task)
  }

  /**
   * Opens a scope outside of any request. The caller closes it, by `close()` or `await using`. Without a
   * `timeout`, it has that of the guard.
   *
   * @throws {TypeError} for an invalid option.
   * @throws {SubprocessError} if the guard is closed or has no keeper.
   * @throws the reason of the `signal` if that has aborted before.
   */
  open(options: JobOptions = {}): Scope {
    const { signal: givenSignal, ...times } = ownOf(options)
    const signal = abortSignal('signal', givenSignal)
    const { timeoutMs, limits, ...settings } = resolveRouteOptions(
      times,
      this.#options,
      'options'
    ) as ResolvedRouteOptions
    if (signal?.aborted) throw signal.reason
    const deadline = new JobDeadline(this.#jobDeadlines)
    this.#jobDeadlines.start(deadline, timeoutMs)
    const places = this.placesFor(limits, deadline, 'the job')
    const scope = this.#openWith(deadline, { ...settings, limits, places })
    if (signal !== undefined) {
      const close = (): void => void scope.close('closed')
      signal.addEventListener('abort', close, { once: true })
      void scope.closed.then(() => signal.removeEventListener('abort', close))
    }
    return scope
  }

  /**
   * Waits for jobs of `run()`, for up to the `drain` of `createGuard`. Then closes every scope with the
   * reason `shutdown`. Resolves when all their processes are gone, and the keeper, too, unless another guard
   * uses it.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  /** @internal */
  onCutShort(listener: CutShortListener): void {
    this.#cutShortListeners.push(listener)
  }

  /** @internal Waits for the jobs that are running now and for the given promises, for up to `timeoutMs`. */
  async drain(timeoutMs: number, others: readonly Promise<void>[] = []): Promise<void> {
    // p-timeout refuses 0.
    if (timeoutMs <= 0) return
    const ends = Promise.allSettled([...this.#runningJobs, ...others])
    await pTimeout(ends, { milliseconds: timeoutMs, fallback: () => [] })
  }

  /** @internal Adds a lookup that recognises requests, to log which route blocks the event loop. */
  addRouteLookup(lookup: RouteLookup): void {
    this.#routeLookups.push(lookup)
  }

  /** @internal Whether children that libraries create are adopted. */
  get captures(): boolean {
    return this.#capture !== undefined
  }

  /** @internal Calls a function. Children that it creates are adopted, except those of `capture.except`. */
  captureIn<Result>(adopt: Adopt, task: () => Result): Result {
    const capture = this.#capture
    if (capture === undefined) return captureIn(undefined, task)
    return captureIn((child) => {
      if (capture.covers(child)) adopt(child)
    }, task)
  }

  /** @internal Ends a process that a library started after its request was over. */
  endLateProcess(
    { pid }: { readonly pid?: number | undefined },
    log: Logger,
    route: string | undefined
  ): void {
    const startTick = pid === undefined ? undefined : platform.statOf(pid)?.startTick
    if (pid === undefined || startTick === undefined) return
    const context = { ...this.#options, log, route }
    void endLateProcess(this.#keeperShare.checkedLink(), { pid, startTick }, context)
  }

  /**
   * @internal The places for the commands of a scope; undefined if they are not limited. `group`: which
   * commands count together, besides all of the guard. `name`: what the group is called in an error.
   */
  placesFor({ commands }: ResolvedLimits, group: unknown, name: string): ScopePlaces | undefined {
    if (commands === undefined) return undefined
    this.#places ??= new LaunchPlaces(commands.ofServer)
    return new ScopePlaces(this.#places, { group, name, limits: commands.own ?? unlimited })
  }

  /** @internal Opens a scope. Throws a `SubprocessError` if the guard is closed or has no keeper. */
  openScope(context: Omit<ScopeContext, 'launch' | 'noNewPrivileges'>): Scope {
    if (this.#state !== 'open') throw new SubprocessError('ERR_SUBPROCESS_SHUTDOWN')
    refuseUnsupportedLimits(context.limits, this.containment)
    const { launch, noNewPrivileges } = this.#options
    const keepers = {
      forLaunch: () => this.#throwUnlessOpen(this.#keeperShare.uncheckedLink()),
      withCurrentRights: () => this.#throwUnlessOpen(this.#keeperShare.checkedLink())
    }
    const scope = new Scope(`${process.pid}.${++lastScope}`, keepers, {
      ...context,
      launch,
      noNewPrivileges
    })
    this.#scopes.add(scope)
    void scope.closed.then(() => this.#scopes.delete(scope))
    return scope
  }

  /** @internal From now on, `openScope()` throws. */
  refuseScopes(): void {
    if (this.#state === 'open') this.#state = 'refusing'
  }

  #openWith(
    deadline: JobDeadline,
    settings: Omit<ScopeContext, 'log' | 'route' | 'launch' | 'noNewPrivileges' | 'deadline'>
  ): Scope {
    try {
      deadline.scope = this.openScope({ ...settings, log: this.#log, route: undefined, deadline })
      return deadline.scope
    } catch (error) {
      deadline.queue?.remove(deadline)
      throw error
    }
  }

  #logUnhandled(error: unknown, signal: AbortSignal | undefined): void {
    const wasCutShort = isScopeClosedError(error) || (signal?.aborted && error === signal.reason)
    const level = this.#state === 'open' && !wasCutShort ? 'error' : 'info'
    this.#log[level]({ err: abridgedForLog(error) }, 'a job failed and its error was not handled')
  }

  #routeOf(value: unknown): string | undefined {
    for (const lookup of this.#routeLookups) {
      const route = lookup(value)
      if (route !== undefined) return route
    }
    return undefined
  }

  #throwUnlessOpen(link: KeeperLink): KeeperLink {
    if (link.isOpen && !link.isRetired) return link
    const detail = `the next one starts in ${this.#keeperShare.nextKeeperInMs} ms`
    throw new SubprocessError('ERR_SUBPROCESS_KEEPER_LOST', detail)
  }

  /** Closes all scopes, or those at one keeper. */
  async #closeScopes(reason: CutReason, link?: KeeperLink): Promise<void> {
    const isAffected = (scope: Scope): boolean => link === undefined || scope.isAt(link)
    for (const listener of this.#cutShortListeners) listener(reason, isAffected)
    const affected = this.scopes().filter(isAffected)
    await Promise.all(affected.map((scope) => scope.close(reason)))
  }

  async #close(): Promise<void> {
    this.refuseScopes()
    await this.drain(this.#closeDrainMs)
    await this.#closeScopes('shutdown')
    this.#state = 'closed'
    this.#jobDeadlines.clear()
    this.#stopCapture()
    await this.#keeperShare.release()
  }
}
