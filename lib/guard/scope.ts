/** One scope: the subprocesses of one request, from the first spawn until all of them are proven gone. */

import type { ChildProcess } from 'node:child_process'
import type { CloseReason } from '../close-reason.js'
import { type SubprocessError, SubprocessOptionError } from '../errors.js'
import type { KeeperLink } from '../link/keeper-link.js'
import { platform, type ScopeProcess } from '../platform/current.js'
import { adoptPending } from '../subprocess/capture.js'
import type { CommandStream } from '../subprocess/command-stream.js'
import { forkDirect, spawnDirect } from '../subprocess/direct-launch.js'
import { EventHold } from '../subprocess/event-hold.js'
import { KeeperSubprocess } from '../subprocess/keeper-subprocess.js'
import {
  type PermittedFork,
  type PermittedLaunch,
  permitFork,
  permitLaunch
} from '../subprocess/permit-launch.js'
import { connectStreams, extractStreams } from '../subprocess/pipe-between-commands.js'
import { resolveCommand } from '../subprocess/resolve-command.js'
import { needsDirectLaunch } from '../subprocess/resolve-stdio.js'
import { SpawnMethods } from '../subprocess/spawn-methods.js'
import {
  type ForkOptions,
  forkOptionNames,
  type PrivateTmpOption,
  type SpawnOptions,
  spawnOptionNames
} from '../subprocess/spawn-options.js'
import type { Subprocess } from '../subprocess/subprocess.js'
import { warnOfMisspelledOptions } from '../subprocess/warn-of-misspelled-options.js'
import { milliseconds, ownOf, trueOrFalse } from '../validate-option.js'
import type { EndedProcess } from '../wire/messages.js'
import { nameOfChild } from '../wire/name-of-child.js'
import { sumOfUsages } from '../wire/usage.js'
import { type DeferredTask, runDeferredTask, runDeferredTasks } from './deferred-tasks.js'
import { endLateProcess } from './end-late-process.js'
import { logScopeEnd } from './log-scope-end.js'
import { ProcessRegistry } from './process-registry.js'
import type { ScopeAtKeeper } from './scope-at-keeper.js'
import { isScopeClosedError } from './scope-closed-error.js'
import type { KeeperSource, ScopeContext } from './scope-context.js'
import { ScopeKeepers } from './scope-keepers.js'
import type { ScopeReport } from './scope-report.js'
import { ScopeState } from './scope-state.js'
import { type PrivateTmpCommand, TemporaryFolders } from './temporary-folders.js'
import { type Adoptable, adoptablePid, isRunningChild } from './validate-adopted-process.js'

/**
 * The subprocesses of one request or job. When the scope closes, every process in it is ended, with all
 * processes that these have started. What can escape depends on the containment level: see docs/guarantees.md.
 */
export class Scope extends SpawnMethods {
  /** Identifies the scope in logs: the pid of the worker, a dot, and a number. */
  readonly id: string
  /**
   * Resolves with a report when the scope is closed: every process is gone or reported as a survivor, and the
   * deferred functions have run. Never rejects.
   */
  readonly closed: Promise<ScopeReport>
  readonly #context: ScopeContext
  readonly #state = new ScopeState()
  readonly #processes = new ProcessRegistry()
  readonly #keepers: ScopeKeepers
  readonly #folders: TemporaryFolders
  readonly #deferred: DeferredTask[] = []
  readonly #hold = new EventHold()
  /** Errors that have been logged. */
  readonly #loggedErrors = new WeakSet<Error>()
  readonly #openedAt = performance.now()
  /** The deadline when the scope started to close. Later, the context may have that of the next request. */
  #lastDeadlineAt = 0
  #resolveClosed!: (report: ScopeReport) => void
  /** Resolves when every process is gone or reported as a survivor, before the deferred functions run. */
  readonly #ended: Promise<readonly EndedProcess[]>
  #resolveEnded!: (processes: readonly EndedProcess[]) => void

  /** @internal */
  constructor(id: string, keepers: KeeperSource, context: ScopeContext) {
    super()
    this.id = id
    this.#context = context
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve
    })
    this.#ended = new Promise((resolve) => {
      this.#resolveEnded = resolve
    })
    this.#keepers = new ScopeKeepers(keepers, {
      id,
      context,
      state: this.#state,
      processes: this.#processes,
      hold: this.#hold,
      ended: this.#ended,
      logError: (error, child) => this.logUnheard(error, child),
      closeExceeded: () => this.#closeExceeded(),
      limitExceeded: (exceeded) => {
        if (this.#state.isOpen) this.#state.exceeded = exceeded
        return () => this.#closeExceeded()
      }
    })
    this.#folders = new TemporaryFolders(() => this.#keepers.withCurrentRights(), context.log)
  }

  /**
   * Adopts a process that the scope did not start, for example one that a library started: it ends with the
   * scope, with everything that it starts. Descendants that it had orphaned before the keeper first scanned
   * it are not found. Returns its argument.
   *
   * @param child a `ChildProcess`, another object with a `pid` (such as an execa promise), or a pid. An
   *   object whose `pid` is undefined is ignored: its process could not be started.
   * @throws {TypeError} if it is not a process, or if it is the worker, an ancestor of the worker, or its
   *   keeper.
   * @throws {SubprocessError} if the scope is closed. The process is still ended.
   */
  adopt<Child extends Adoptable>(child: Child): Child {
    const { links } = this.#keepers
    const pid = adoptablePid(
      child,
      links.map((link) => link.pid)
    )
    if (pid === undefined) return child
    const process = isRunningChild(child)
      ? nameOfChild(pid)
      : { pid, startTick: platform.statOf(pid)?.startTick ?? 0 }
    if (!this.#state.isOpen) {
      void endLateProcess(links.at(-1) as KeeperLink, process, this.#context)
      this.#state.throwUnlessOpen()
    }
    this.#processes.adopt(child, process, this.#keepers.withCurrentRights())
    return child
  }

  /**
   * Lets a command outlive the scope, with everything that it starts: neither the end of the scope nor the
   * end of the worker ends it. If the command is still starting when the scope closes, closing waits for
   * that, for up to 2 s; so it does if the command waits for its place (`limits`). A daemon of the command that leaves its session while the scope is open may still be
   * ended with the scope. The handle reports the end of the command while the guard is open; after that, it
   * reports the end of the keeper by `'error'`.
   *
   * A process that was adopted, or captured by the option `capture`, can be released, too. What it starts
   * after its release is spared while the process itself is alive; what it leaves behind when it exits ends
   * with the worker. Adopting it again has no effect. Returns its argument.
   *
   * If worker and keeper are both killed before the keeper has read the release, the next sweep ends the
   * released processes. Once a `list()` that was called after the release has resolved, this can no longer
   * happen.
   *
   * On Windows, Node.js ends the direct children of a process with it: a command with a direct launch cannot be
   * released, and without the optional dependency no command can.
   *
   * @param child a `ChildProcess`, another object with a `pid`, or a pid.
   * @throws {TypeError} if it is not a running subprocess of this scope; if it was started or adopted before
   *   the worker gave up rights; if it cannot outlive its scope on this system; or if it was adopted and was
   *   started by a command of this scope: these get their signals together, so release the command.
   */
  release<Child extends Adoptable>(child: Child): Child {
    // Captured children are adopted in the next tick. Adopt those of this tick now, to find the child.
    adoptPending()
    this.#processes.release(child)
    return child
  }

  /**
   * Runs a function when every process of the scope is gone or reported as a survivor. Deferred functions run
   * one after the other, the last deferred one first, for up to 10 s each. A function that fails or takes
   * longer is logged. In a scope that is already closed, the function runs at once.
   *
   * @throws {TypeError} if `task` is not a function.
   */
  defer(task: () => unknown): void {
    if (typeof task !== 'function') throw new SubprocessOptionError('task', task, 'give a function')
    if (this.#state.isClosed) void runDeferredTask(task, this.#context.log, this.id)
    else this.#deferred.push(task)
  }

  /**
   * Creates a private directory (mode 0700) in the system's directory for temporary files and returns its
   * path. The keeper removes it, with its contents, when every process of the scope is gone, even if the
   * worker is gone, too.
   *
   * @throws {SubprocessError} if the scope is closed.
   * @throws {Error} with the code of `mkdtemp`, such as ENOSPC or EROFS, if the directory cannot be created.
   */
  tempDir(): string {
    this.#state.throwUnlessOpen()
    return this.#folders.create()
  }

  /**
   * Extends the deadline by `ms` milliseconds. Has no effect without a deadline.
   *
   * @throws {TypeError} if `ms` is not a whole number of milliseconds from 0 to 2,147,483,647.
   * @throws {SubprocessError} if the scope is closed.
   */
  extend(ms: number): void {
    this.#state.throwUnlessOpen()
    this.#context.deadline.extend(milliseconds('ms', ms))
    this.sendDeadline()
  }

  /** @internal Sends the deadline to the keeper, which enforces it, too. */
  sendDeadline(): void {
    if (this.#state.isOpen) this.#keepers.sendDeadline()
  }

  /** The time of the deadline in ms, by the clock of `Date.now()`; `Infinity` without a deadline. */
  get deadline(): number {
    // Not by `performance.timeOrigin`: the system clock may have been set since then.
    return Date.now() + this.#deadlineAt - performance.now()
  }

  /** The time until the deadline in ms, 0 or more; `Infinity` without a deadline. */
  get remaining(): number {
    return Math.max(0, this.#deadlineAt - performance.now())
  }

  get #deadlineAt(): number {
    return this.#state.isOpen ? this.#context.deadline.deadlineAt : this.#lastDeadlineAt
  }

  /** Aborts when the scope starts to close, with a `SubprocessError` whose `reason` is the close reason. */
  get signal(): AbortSignal {
    return this.#state.signal
  }

  /**
   * Lists the processes of the scope that are alive now, however they were started. Rejects with an error
   * whose `code` is EMFILE or ENFILE if the keeper has had no free descriptor for 5 s, so that it could not
   * scan.
   */
  list(): Promise<readonly ScopeProcess[]> {
    return this.#keepers.list()
  }

  /** Why the scope is closing or closed; undefined while it is open. */
  get reason(): CloseReason | undefined {
    return this.#state.reason
  }

  /**
   * Closes the scope and ends every process in it: `killSignal` first, and SIGKILL after `grace`. From the
   * call on, nothing can be spawned. Resolves when `closed` does, with the same report. It may be called
   * repeatedly; the first reason wins.
   */
  close(reason: CloseReason = 'closed'): Promise<ScopeReport> {
    if (this.#state.isOpen) {
      this.#lastDeadlineAt = this.#deadlineAt
      this.#state.startClosing(reason)
      this.#processes.cancelWaiting()
      void this.#endAll(reason)
    }
    return this.closed
  }

  /** Closes the scope and waits until it is closed. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  /** @internal Closes the scope. The user sees no events of commands and no abort until `resumeEvents()`. */
  closeSilently(reason: CloseReason): void {
    this.#state.muteSignal()
    this.holdEvents()
    void this.close(reason)
  }

  /** @internal Holds back the events of the scope's commands and of their streams. */
  holdEvents(): void {
    this.#hold.begin()
  }

  /** @internal Emits the events that were held back. */
  resumeEvents(): void {
    this.#state.unmuteSignal()
    this.#hold.end(() => this.closedError())
  }

  /** @internal */
  get hasRunningCommand(): boolean {
    return this.#processes.hasRunningCommand
  }

  /** @internal See `GuardLoad.running`. */
  get runningCommands(): number {
    return this.#processes.runningCommands
  }

  /** @internal The error for whoever used the scope after it had started to close. */
  closedError(cause?: unknown): SubprocessError {
    return this.#state.closedError(cause)
  }

  /** @internal Whether the scope was opened at this keeper. */
  isAt(link: KeeperLink): boolean {
    return this.#keepers.has(link)
  }

  protected override launch(command: string, args: readonly string[], given: SpawnOptions): Subprocess {
    this.#state.throwUnlessOpen()
    const { options, streams } = extractStreams(ownOf(given))
    warnOfMisspelledOptions(options, spawnOptionNames, this.#context.log)
    const { policy } = this.#context
    const permitted = policy === undefined ? { command, options } : permitLaunch(policy, command, options)
    const isDirect = this.#context.launch === 'direct' || needsDirectLaunch(options)
    const owner = isDirect ? this.#keepers.withCurrentRights() : this.#keepers.forLaunch()
    const child = isDirect
      ? this.#launchDirect(owner, permitted, (variables) =>
          spawnDirect(owner, permitted.command, args, permitted.options, variables)
        )
      : this.#spawnByKeeper(owner, permitted, args)
    connectStreams(child, streams)
    return child
  }

  #spawnByKeeper(
    owner: ScopeAtKeeper,
    { command, options, givenFile }: PermittedLaunch,
    args: readonly string[]
  ): KeeperSubprocess {
    const resolved = resolveCommand(command, args, options)
    const shown = givenFile === undefined ? resolved : { ...resolved, file: givenFile }
    const place = this.#context.places?.enter()
    try {
      const child = new KeeperSubprocess(shown, owner, () => this.#privateTmpVariables(options), place)
      this.#processes.add(child, owner, place)
      return child
    } catch (error) {
      place?.leave()
      throw error
    }
  }

  /** Direct launches take a place at once, or fail: Node starts the process within the call. */
  #launchDirect(
    owner: ScopeAtKeeper,
    { options, givenFile }: PermittedFork | PermittedLaunch,
    start: (variables: Record<string, string> | undefined) => Subprocess
  ): Subprocess {
    const place = this.#context.places?.takeNow()
    try {
      const child = start(this.#privateTmpVariables(options))
      if (givenFile !== undefined) Object.assign(child, { spawnfile: givenFile })
      this.#processes.add(child, owner, place)
      // It was not started. The event may be held back.
      if (child.pid === undefined) this.#processes.leavePlace(child)
      return child
    } catch (error) {
      place?.leave()
      throw error
    }
  }

  protected override launchFork(
    modulePath: string | URL,
    args: readonly string[],
    given: ForkOptions
  ): Subprocess {
    this.#state.throwUnlessOpen()
    warnOfMisspelledOptions(given, forkOptionNames, this.#context.log)
    const { policy } = this.#context
    const permitted: PermittedFork = policy === undefined ? { options: given } : permitFork(policy, given)
    const owner = this.#keepers.withCurrentRights()
    return this.#launchDirect(owner, permitted, (variables) =>
      forkDirect(owner, modulePath, args, permitted.options, variables)
    )
  }

  /** The variables that point a command to its private TMPDIR; undefined if it gets none. */
  #privateTmpVariables(options: PrivateTmpCommand & PrivateTmpOption): Record<string, string> | undefined {
    const { privateTmp = this.#context.privateTmp } = options
    if (!trueOrFalse('options.privateTmp', privateTmp)) return undefined
    return this.#folders.variablesFor(options)
  }

  protected override watch(stream: CommandStream): void {
    this.#hold.add(stream)
    stream.once('close', () => this.#hold.delete(stream))
  }

  protected override logUnheard(err: unknown, child: ChildProcess): void {
    // A released command outlives the keeper, as intended. Its handle cannot, which is no failure.
    if (this.#processes.isReleased(child) && !this.#processes.linkOf(child)?.isOpen) return
    // The streams of a command that could not be started fail with the same error.
    if (err instanceof Error) {
      if (this.#loggedErrors.has(err)) return
      this.#loggedErrors.add(err)
    }
    const { spawnfile: command, pid } = child
    // A command that ends with its scope, or was not started because the scope had closed, has not failed.
    const level = this.#state.isOpen && !isScopeClosedError(err) ? 'error' : 'info'
    const fields = { err, scope: this.id, command, pid }
    this.#context.log[level](fields, 'a subprocess failed and its error was not handled')
  }

  #closeExceeded(): void {
    if (!this.#state.isOpen) return
    this.#context.deadline.cutShort?.('limit')
    void this.close('limit')
  }

  /** Ends all processes, runs what was deferred, logs and reports. */
  async #endAll(givenReason: CloseReason): Promise<void> {
    const closingAt = performance.now()
    // A command that is to outlive the scope must have left it by then.
    if (this.#processes.hasPendingReleases) await this.#processes.waitForReleases()
    const reports = await this.#keepers.endScope(() =>
      this.#folders.removedWithScope(this.#processes.hasReleased)
    )
    const processes = reports.flatMap((report) => report.processes)
    this.#resolveEnded(processes)
    const leftFolders = reports.flatMap((report) => report.leftFolders)
    // The keeper has closed the scope first if the event loop was blocked.
    const closedByKeeper = reports.find((report) => report.reason !== undefined)
    const reason = closedByKeeper?.reason ?? givenReason
    this.#state.exceeded ??= closedByKeeper?.exceeded
    const { log, route } = this.#context
    if (this.#deferred.length > 0) await runDeferredTasks(this.#deferred, log, this.id)
    this.#state.finishClosing(reason)
    this.#processes.forgetAdopted()
    const report: ScopeReport = {
      scope: this.id,
      route,
      reason,
      openMs: Math.round(closingAt - this.#openedAt),
      closeMs: Math.round(performance.now() - closingAt),
      processes,
      survivors: processes.filter(({ ended }) => ended === 'survived'),
      usage: sumOfUsages(reports.flatMap((report) => report.usage ?? [])),
      leftFolders,
      ...(reason === 'limit' ? { exceeded: this.#state.exceeded } : {})
    }
    logScopeEnd(log, report)
    this.#resolveClosed(report)
    this.#hold.destroyUnreadOutputs(() => this.closedError())
  }
}
