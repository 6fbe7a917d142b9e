/** One scope: the subprocesses of one request, from its first spawn to the proof that all are gone. */

import { ChildProcess, type ForkOptions } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { resolve } from 'node:path'
import pTimeout from 'p-timeout'
import { type Adoptable, adoptablePid } from './adoptable.js'
import { takeInAwaited } from './capture.js'
import { sharedTimeOf } from './clock.js'
import type { CloseReason } from './close-reason.js'
import { type Command, needsDirectLaunch, resolveCommand, type SpawnOptions } from './command.js'
import type { CommandStream } from './command-stream.js'
import { forkDirect, spawnDirect } from './direct.js'
import { SubprocessError, type SubprocessErrorCode, SubprocessOptionError } from './errors.js'
import { Hold } from './hold.js'
import type { KeeperLink } from './keeper/link.js'
import type { LaunchFailure, LeftFolder, ProcessName } from './keeper/protocol.js'
import { endWithoutKeeper, type LostScope } from './keeper-loss.js'
import { endLate } from './late.js'
import { Launcher } from './launcher.js'
import type { Logger } from './log.js'
import { folderTagOf } from './mark.js'
import { milliseconds } from './options.js'
import { type ScopeProcess, statOf } from './platform/linux.js'
import { logReport, type ScopeReport } from './report.js'
import { KeeperSubprocess, type Subprocess, type SubprocessOwner } from './subprocess.js'

/** What a scope is opened with. */
export interface ScopeContext {
  readonly graceMs: number
  readonly killSignal: NodeJS.Signals
  readonly log: Logger
  /** The route as it was declared, for the log. */
  readonly route: string | undefined
  /** Who starts commands where either could. */
  readonly launch: 'keeper' | 'direct'
  readonly term: Term
}

/** The time that a scope has. */
export interface Term {
  /** By the clock of `performance.now()`, in ms; `Infinity` for no deadline. */
  readonly deadlineAt: number
  extend(ms: number): void
  /** Closes the scope now if the deadline has passed. */
  expireIfDue(): void
}

type State = { readonly name: 'open' } | { readonly name: 'closing' | 'closed'; readonly reason: CloseReason }

// How long a deferred function may take before the scope closes without it.
const deferredMs = 10_000
// How long the end of a scope waits for the start of a command that is to outlive it.
const releasedWithinMs = 2_000

const codeByReason: Partial<Record<CloseReason, SubprocessErrorCode>> = {
  deadline: 'ERR_SUBPROCESS_DEADLINE',
  disconnected: 'ERR_SUBPROCESS_DISCONNECTED',
  shutdown: 'ERR_SUBPROCESS_SHUTDOWN',
  'keeper-lost': 'ERR_SUBPROCESS_KEEPER_LOST'
}

/** The error that says to a request why its scope has closed. */
export function errorOfReason(reason: CloseReason, detail?: string, cause?: unknown): SubprocessError {
  const error = new SubprocessError(codeByReason[reason] ?? 'ERR_SUBPROCESS_SCOPE_CLOSED', detail, cause)
  return Object.assign(error, { reason })
}

/** Whether an error says that a scope has closed, which is no fault of anybody. */
export function isOfReason(error: unknown): boolean {
  return error instanceof SubprocessError && error.reason !== undefined
}

/**
 * The subprocesses of one request. When the scope closes, every process of it ends, with all that these have
 * started. See the README for what each containment level finds.
 */
export class Scope extends Launcher {
  /** Names the scope in logs, by worker and number. */
  readonly id: string
  /**
   * Resolves with what became of the scope, when every process of it is gone or named as a survivor and what was
   * deferred has run. It never rejects.
   */
  readonly closed: Promise<ScopeReport>
  readonly #context: ScopeContext
  readonly #link: KeeperLink
  readonly #owner: SubprocessOwner
  readonly #running = new Set<ChildProcess>()
  readonly #released = new Set<ChildProcess>()
  /** What was taken in, by process id: should the keeper be lost, the worker has to end it. */
  readonly #adopted = new Map<number, ProcessName>()
  /** What was taken in and let go again. */
  readonly #letGo: ProcessName[] = []
  /** Each resolves when a released command has been started, or will not be. */
  readonly #releasing: Promise<void>[] = []
  /** The errors that are in the log. */
  readonly #told = new WeakSet<Error>()
  readonly #deferred: (() => unknown)[] = []
  readonly #folders: string[] = []
  readonly #hold = new Hold()
  readonly #openedAt = performance.now()
  #state: State = { name: 'open' }
  #abort: AbortController | undefined
  /** Whether the signal is to abort at `unhold()` only. */
  #isSilent = false
  /** Where the deadline was when the scope began to close: the next request on a connection has another one. */
  #lastDeadlineAt = 0
  #resolveClosed!: (report: ScopeReport) => void

  /** @internal */
  constructor(id: string, link: KeeperLink, context: ScopeContext) {
    super()
    this.id = id
    this.#link = link
    this.#context = context
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve
    })
    this.#owner = {
      link,
      keeperScope: link.openScope({
        id,
        route: context.route,
        graceMs: context.graceMs,
        killSignal: context.killSignal,
        deadlineAt: this.#sharedDeadline
      }),
      graceMs: context.graceMs,
      hold: this.#hold,
      errorOf: (failure, command) => this.#errorOf(failure, command),
      logError: (error, child) => this.logUnheard(error, child),
      // The keeper has the deadline, too: the end that it has made must not be taken for the command's own.
      subprocessEnding: () => {
        if (this.#state.name === 'open') this.#context.term.expireIfDue()
      },
      subprocessEnded: (subprocess) => {
        // The end of its keeper is not the end of a process.
        if (link.isOpen) this.#running.delete(subprocess)
      }
    }
  }

  /**
   * Takes in a process that a library has started: it ends with the scope, with all that it has started. What such
   * a process started and left before the first look at it is not found. Returns what it was given.
   *
   * @param child a `ChildProcess`, whatever else has a `pid`, such as an execa promise, or a process id.
   * @throws {TypeError} for what is no process, or is the worker itself, its keeper, or what these run in.
   * @throws {SubprocessError} when the scope is closed; the process is ended all the same.
   */
  adopt<Child extends Adoptable>(child: Child): Child {
    const pid = adoptablePid(child, this.#link.pid)
    if (pid === undefined) return child
    const process = { pid, startTick: statOf(pid)?.startTick ?? 0 }
    if (this.#state.name !== 'open') {
      void endLate(this.#link, process, this.#context)
      throw errorOfReason(this.#state.reason)
    }
    const { keeperScope } = this.#owner
    this.#link.adopt(keeperScope, process)
    this.#adopted.set(pid, process)
    if (child instanceof ChildProcess) {
      child.once('exit', () => {
        this.#link.left(keeperScope, pid)
        this.#adopted.delete(pid)
      })
    }
    return child
  }

  /**
   * Lets a command outlive the scope, with all that it starts: nobody ends it any more, not even when the worker
   * is gone. One that has not been started yet is waited for when the scope closes. A daemon of it that leaves its session while the scope is open
   * may still be taken for the scope's. Its handle tells of its end as long as the guard is open, and then of the
   * keeper's by `'error'`.
   *
   * The same for a process that was adopted, or captured with the option `capture`. What that one starts after its
   * release is spared as long as the process itself lives; what it leaves behind when it ends goes with the worker. To
   * adopt it again has no effect. Returns what it was given.
   *
   * When worker and keeper are both killed before the keeper has read of it, the next sweep ends what was released. Once
   * a `list()` that was called afterwards has resolved, that cannot happen any more.
   *
   * @param child a `ChildProcess`, whatever else has a `pid`, or a process id.
   * @throws {TypeError} for what is no running subprocess of this scope, and for an adopted process that one of the
   *   scope's commands has started: they get their signals together, so release the command.
   */
  release<Child extends Adoptable>(child: Child): Child {
    // What a library has created in this turn is captured in the next step of the loop.
    takeInAwaited()
    const pid = typeof child === 'number' ? child : child?.pid
    const command =
      child instanceof ChildProcess
        ? this.#running.has(child) && child
        : [...this.#running].find((running) => running.pid !== undefined && running.pid === pid)
    if (command) this.#releaseCommand(command)
    else if (pid === undefined || !this.#releaseAdopted(child, pid)) {
      throw new SubprocessOptionError('child', pid, 'give a running subprocess of this scope')
    }
    return child
  }

  /**
   * Runs a function when every process of the scope is gone, the last one deferred first. They run one after the
   * other, each for 10 s at most; one that fails is logged. In a scope that is closed it runs at once.
   */
  defer(task: () => unknown): void {
    if (typeof task !== 'function') throw new SubprocessOptionError('task', task, 'give a function')
    if (this.#state.name === 'closed') void this.#runDeferred(task)
    else this.#deferred.push(task)
  }

  /**
   * Makes a private folder (mode 0700) in the system's folder for temporary files, and returns its path. The keeper
   * removes it, with all that is in it, when every process of the scope is gone, even when the worker is gone too.
   *
   * @throws {SubprocessError} when the scope is closed.
   */
  tempDir(): string {
    this.#refuseWhenClosed()
    // TMPDIR may be relative, and the keeper is in another folder.
    const path = mkdtempSync(resolve(tmpdir(), `subprocess-${folderTagOf(this.#link.workerMark)}_`))
    this.#folders.push(path)
    this.#link.addFolder(this.#owner.keeperScope, path)
    return path
  }

  /**
   * Puts the deadline off by so many ms, for a request that is worth it. Without a deadline it has no effect.
   *
   * @throws {SubprocessError} when the scope is closed.
   */
  extend(ms: number): void {
    this.#refuseWhenClosed()
    this.#context.term.extend(milliseconds('ms', ms))
    this.tellDeadline()
  }

  /** @internal Tells the keeper, which has the deadline too, of another one. */
  tellDeadline(): void {
    if (this.#state.name === 'open') this.#link.setDeadline(this.#owner.keeperScope, this.#sharedDeadline)
  }

  /** When the deadline passes, in ms by the clock of `Date.now()`; `Infinity` without one. */
  get deadline(): number {
    // Not by `performance.timeOrigin`: since then the clock may have been set.
    return Date.now() + this.#deadlineAt - performance.now()
  }

  /** How long it is to the deadline, in ms and never below 0; `Infinity` without one. */
  get remaining(): number {
    return Math.max(0, this.#deadlineAt - performance.now())
  }

  /** Aborts when the scope begins to close, with a `SubprocessError` whose `reason` is the close reason. */
  get signal(): AbortSignal {
    if (this.#abort === undefined) {
      this.#abort = new AbortController()
      if (this.#state.name !== 'open' && !this.#isSilent) this.#abort.abort(errorOfReason(this.#state.reason))
    }
    return this.#abort.signal
  }

  /** The processes of the scope that are alive now, whatever started them. */
  async list(): Promise<readonly ScopeProcess[]> {
    return this.#link.list(this.#owner.keeperScope)
  }

  /** Why the scope closes or has closed; undefined while it is open. */
  get reason(): CloseReason | undefined {
    return this.#state.name === 'open' ? undefined : this.#state.reason
  }

  /**
   * Ends every process of the scope: `killSignal`, then SIGKILL after `grace`. Nothing can be spawned any
   * more. Resolves as `closed` does. The first reason wins.
   */
  close(reason: CloseReason = 'closed'): Promise<ScopeReport> {
    if (this.#state.name === 'open') {
      this.#lastDeadlineAt = this.#deadlineAt
      this.#state = { name: 'closing', reason }
      if (!this.#isSilent) this.#abort?.abort(errorOfReason(reason))
      void this.#end(reason)
    }
    return this.closed
  }

  /** @internal Closes, and the user hears of it at `unhold()`: not even the signal aborts before. */
  closeSilently(reason: CloseReason): void {
    this.#isSilent = true
    this.hold()
    void this.close(reason)
  }

  /** @internal From now on the user of its commands hears of no end. */
  hold(): void {
    this.#hold.begin()
  }

  /** @internal The user hears of all that was held back. */
  unhold(): void {
    this.#isSilent = false
    this.#abort?.abort(errorOfReason(this.reason ?? 'closed'))
    this.#hold.end(() => errorOfReason(this.reason ?? 'closed'))
  }

  /** @internal Whether a command of it runs. */
  get isRunning(): boolean {
    return this.#running.size > 0
  }

  /** Closes the scope, and waits for that. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  protected override launch(command: string, args: readonly string[], options: SpawnOptions): Subprocess {
    this.#refuseWhenClosed()
    if (this.#context.launch === 'direct' || needsDirectLaunch(options)) {
      return this.#started(spawnDirect(this.#owner, command, args, options))
    }
    return this.#started(
      new KeeperSubprocess(resolveCommand(this.#link.rights, command, args, options), this.#owner)
    )
  }

  protected override launchFork(
    modulePath: string | URL,
    args: readonly string[],
    options: ForkOptions
  ): Subprocess {
    this.#refuseWhenClosed()
    return this.#started(forkDirect(this.#owner, modulePath, args, options))
  }

  #releaseCommand(child: ChildProcess): void {
    this.#running.delete(child)
    const release = (): void => {
      this.#released.add(child)
      this.#link.release(this.#owner.keeperScope, child.pid as number)
    }
    if (child.pid === undefined) {
      const started = new Promise<void>((resolve) => {
        child.once('spawn', () => resolve(release()))
        child.once('close', () => resolve())
      })
      this.#releasing.push(started)
    } else {
      release()
    }
  }

  /** Returns whether it was adopted, and is there. */
  #releaseAdopted(child: Adoptable, pid: number): boolean {
    const process = this.#adopted.get(pid)
    const stat = statOf(pid)
    if (process === undefined || stat?.startTick !== process.startTick || !stat.alive) return false
    if (child instanceof ChildProcess && hasEnded(child)) return false
    if ([...this.#running].some((command) => command.pid === stat.session)) {
      throw new SubprocessOptionError(
        'child',
        pid,
        'a command of this scope has started it: release that one'
      )
    }
    this.#adopted.delete(pid)
    this.#letGo.push(process)
    this.#link.letGo(this.#owner.keeperScope, process)
    return true
  }

  get #deadlineAt(): number {
    return this.#state.name === 'open' ? this.#context.term.deadlineAt : this.#lastDeadlineAt
  }

  get #sharedDeadline(): number | undefined {
    const { deadlineAt } = this.#context.term
    return Number.isFinite(deadlineAt) ? sharedTimeOf(deadlineAt) : undefined
  }

  #refuseWhenClosed(): void {
    if (this.#state.name !== 'open') throw errorOfReason(this.#state.reason)
  }

  protected override watch(stream: CommandStream): void {
    this.#hold.add(stream)
    stream.once('close', () => this.#hold.delete(stream))
  }

  protected override logUnheard(err: unknown, child: ChildProcess): void {
    // It outlived the keeper, as it was meant to.
    if (this.#released.has(child) && !this.#link.isOpen) return
    // The streams of a command that could not be started have its error, too.
    if (err instanceof Error) {
      if (this.#told.has(err)) return
      this.#told.add(err)
    }
    const { spawnfile: command, pid } = child
    // What ends with its scope, or was not started since that had closed, is no fault of anybody.
    const level = this.#state.name === 'open' && !isOfReason(err) ? 'error' : 'info'
    const fields = { err, scope: this.id, command, pid }
    this.#context.log[level](fields, 'a subprocess failed and nobody listens to its error')
  }

  #started(child: Subprocess): Subprocess {
    this.#running.add(child)
    return child
  }

  async #end(givenReason: CloseReason): Promise<void> {
    const closingAt = performance.now()
    // A command that is to outlive the scope must have left it.
    if (this.#releasing.length > 0) {
      const left = Promise.all(this.#releasing)
      await pTimeout(left, { milliseconds: releasedWithinMs, fallback: () => {} })
    }
    const found = await this.#link.closeScope(this.#owner.keeperScope)
    const processes = found?.processes ?? (await endWithoutKeeper(this.#lost()))
    const leftFolders = found?.leftFolders ?? this.#removeFolders()
    // The keeper closed it first, while the event loop was blocked.
    const reason = found?.reason ?? givenReason
    for (let task = this.#deferred.pop(); task !== undefined; task = this.#deferred.pop()) {
      await this.#runDeferred(task)
    }
    this.#state = { name: 'closed', reason }
    this.#adopted.clear()
    const report: ScopeReport = {
      scope: this.id,
      route: this.#context.route,
      reason,
      openMs: Math.round(closingAt - this.#openedAt),
      closeMs: Math.round(performance.now() - closingAt),
      processes,
      survivors: processes.filter(({ ended }) => ended === 'survived'),
      leftFolders
    }
    logReport(this.#context.log, report)
    this.#resolveClosed(report)
    this.#hold.abandon(() => errorOfReason(reason))
  }

  async #runDeferred(task: () => unknown): Promise<void> {
    try {
      const late = `it did not end within ${deferredMs} ms`
      await pTimeout(Promise.resolve().then(task), { milliseconds: deferredMs, message: late })
    } catch (err) {
      this.#context.log.error({ err, scope: this.id }, 'a deferred function failed')
    }
  }

  /** With the keeper lost, nobody else does. */
  #removeFolders(): LeftFolder[] {
    const left: LeftFolder[] = []
    for (const path of this.#folders) {
      try {
        rmSync(path, { recursive: true, force: true })
      } catch (error) {
        left.push({ path, why: (error as Error).message })
      }
    }
    return left
  }

  /** What the worker knows of what ran, now that the keeper is lost. */
  #lost(): LostScope {
    const { graceMs, killSignal } = this.#context
    const leaders: number[] = []
    const foreign = [...this.#adopted.values()]
    for (const child of this.#running) {
      if (child.pid === undefined || hasEnded(child)) continue
      if (child instanceof KeeperSubprocess) leaders.push(child.pid)
      else foreign.push({ pid: child.pid, startTick: statOf(child.pid)?.startTick ?? 0 })
    }
    const released = [...this.#released].flatMap(({ pid }) => pid ?? [])
    const mark = this.#link.markOf(this.#owner.keeperScope)
    return { mark, graceMs, killSignal, leaders, foreign, released, letGo: this.#letGo }
  }

  #errorOf(failure: LaunchFailure, { file, args }: Command): Error {
    // The scope closed between the call and the start.
    // While it is open here, it can only be that the keeper closed it at its deadline.
    if (failure.code === 'ECANCELED') return errorOfReason(this.reason ?? 'deadline')
    if (failure.code === 'ERR_SUBPROCESS_KEEPER_LOST') return errorOfReason('keeper-lost')
    return Object.assign(new Error(failure.message), {
      errno: failure.errno,
      code: failure.code,
      syscall: `spawn ${file}`,
      path: file,
      spawnargs: args.slice(1)
    })
  }
}

function hasEnded({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode !== null || signalCode !== null
}
