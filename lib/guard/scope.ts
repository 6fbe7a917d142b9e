/** One scope: the subprocesses of one request, from its first spawn to the proof that all are gone. */

import { ChildProcess } from 'node:child_process'
import pTimeout from 'p-timeout'
import type { CloseReason } from '../close-reason.js'
import { SubprocessError, type SubprocessErrorCode, SubprocessOptionError } from '../errors.js'
import type { KeeperLink } from '../link/keeper-link.js'
import type { Logger } from '../log.js'
import type { FirstSignalTo } from '../options.js'
import { milliseconds, ownOf, trueOrFalse } from '../options.js'
import { type ScopeProcess, statOf } from '../platform/current.js'
import { adoptPending } from '../subprocess/capture.js'
import { type Command, resolveCommand } from '../subprocess/command.js'
import type { CommandStream } from '../subprocess/command-stream.js'
import { forkDirect, spawnDirect } from '../subprocess/direct-launch.js'
import { endReleasedCommand } from '../subprocess/end-released-command.js'
import { EventHold } from '../subprocess/event-hold.js'
import { KeeperSubprocess } from '../subprocess/keeper-subprocess.js'
import { warnOfMisspelledOptions } from '../subprocess/misspelled-options.js'
import { connectStreams, extractStreams } from '../subprocess/pipe-between-commands.js'
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
import type { SubprocessOwner } from '../subprocess/subprocess-owner.js'
import { type TerminationReport, terminationReport } from '../subprocess/termination-report.js'
import { sharedTimeOf } from '../time/shared-clock.js'
import type { EndedProcess, KeeperReport, LaunchFailure, ProcessName } from '../wire/messages.js'
import { type Adoptable, adoptablePid } from './adoptable-process.js'
import { endLost, type LostScope, startTickOf } from './keeper-loss.js'
import { endLate } from './late-process.js'
import { errorOfSurvivors, logScopeEnd } from './log-scope-end.js'
import type { ScopeReport } from './scope-report.js'
import { type TemporaryFilesOf, TemporaryFolders } from './temporary-folders.js'

/** What a scope is opened with. */
export interface ScopeContext {
  readonly graceMs: number
  readonly killSignal: NodeJS.Signals
  readonly firstSignalTo: FirstSignalTo
  readonly log: Logger
  /** The route as it was declared, for the log. */
  readonly route: string | undefined
  /** Who starts commands where either could. */
  readonly launch: 'keeper' | 'direct'
  /** Whether its commands get a folder for temporary files that goes with the scope. */
  readonly privateTmp: boolean
  readonly term: ScopeDeadline
}

/** The links to keepers. Both throw where there is none. */
export interface KeeperLinks {
  /** For an order by which the link itself finds out whether the worker's rights have changed. */
  next(): KeeperLink
  /** That of the keeper which has the worker's present rights. */
  present(): KeeperLink
}

/** The time that a scope has. */
export interface ScopeDeadline {
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
export class Scope extends SpawnMethods {
  /** Names the scope in logs, by worker and number. */
  readonly id: string
  /**
   * Resolves with what became of the scope, when every process of it is gone or named as a survivor and what was
   * deferred has run. It never rejects.
   */
  readonly closed: Promise<ScopeReport>
  readonly #context: ScopeContext
  readonly #keepers: KeeperLinks
  /** The keepers that have something of the scope, the present one last: another one when the worker's rights change. */
  readonly #owners = new Map<KeeperLink, SubprocessOwner>()
  /** Its number at all of them. */
  readonly #number: number
  /** At which keeper each command is. */
  readonly #linkOf = new WeakMap<ChildProcess, KeeperLink>()
  readonly #running = new Set<ChildProcess>()
  readonly #released = new Set<ChildProcess>()
  /** What was taken in, by process id: should the keeper be lost, the worker has to end it. */
  readonly #adopted = new Map<number, ProcessName & { readonly link: KeeperLink }>()
  /** What was taken in and let go again. */
  readonly #letGo: ProcessName[] = []
  /** Each resolves when a released command has been started, or will not be. */
  readonly #releasing: Promise<void>[] = []
  /** The errors that are in the log. */
  readonly #told = new WeakSet<Error>()
  readonly #deferred: (() => unknown)[] = []
  readonly #folders: TemporaryFolders
  readonly #hold = new EventHold()
  readonly #openedAt = performance.now()
  #state: State = { name: 'open' }
  #abort: AbortController | undefined
  /** Whether the signal is to abort at `unhold()` only. */
  #isSilent = false
  /** Where the deadline was when the scope began to close: the next request on a connection has another one. */
  #lastDeadlineAt = 0
  #resolveClosed!: (report: ScopeReport) => void
  /** Resolves when every process of it is gone or named as a survivor, before what was deferred runs. */
  readonly #ended: Promise<readonly EndedProcess[]>
  #resolveEnded!: (processes: readonly EndedProcess[]) => void

  /** @internal */
  constructor(id: string, keepers: KeeperLinks, context: ScopeContext) {
    super()
    this.id = id
    this.#keepers = keepers
    this.#context = context
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve
    })
    this.#ended = new Promise((resolve) => {
      this.#resolveEnded = resolve
    })
    this.#number = this.#openAt(keepers.next())
    this.#folders = new TemporaryFolders(
      () => this.#ownerAt(keepers.present()).link,
      this.#number,
      context.log
    )
  }

  /** Opens the scope at a keeper, by the number that it has where another keeper has it as well. Returns that number. */
  #openAt(link: KeeperLink, number?: number): number {
    const { route, graceMs, killSignal, firstSignalTo } = this.#context
    const opening = {
      id: this.id,
      route,
      graceMs,
      killSignal,
      firstSignalTo,
      deadlineAt: this.#sharedDeadline
    }
    const keeperScope = link.openScope(opening, number)
    this.#owners.set(link, {
      link,
      keeperScope,
      hold: this.#hold,
      terminate: (child, command, killSignal) => this.#terminate(link, child, command, killSignal),
      errorOf: (failure, command) => this.#errorOf(link, failure, command),
      logError: (error, child) => this.logUnheard(error, child),
      // The keeper has the deadline, too: the end that it has made must not be taken for the command's own.
      subprocessEnding: () => {
        if (this.#state.name === 'open') this.#context.term.expireIfDue()
      },
      subprocessEnded: (subprocess) => {
        // The end of its keeper is not the end of a process.
        if (link.isOpen) this.#running.delete(subprocess)
      },
      ownerAfterRefusal: (subprocess) => {
        this.#refuseWhenClosed()
        const next = this.#ownerAt(this.#keepers.next())
        this.#linkOf.set(subprocess, next.link)
        return next
      }
    })
    return keeperScope
  }

  #ownerAt(link: KeeperLink): SubprocessOwner {
    if (!this.#owners.has(link)) this.#openAt(link, this.#number)
    return this.#owners.get(link) as SubprocessOwner
  }

  get #links(): KeeperLink[] {
    return [...this.#owners.keys()]
  }

  /** @internal Whether that keeper has something of the scope. */
  isAt(link: KeeperLink): boolean {
    return this.#owners.has(link)
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
    const pid = adoptablePid(
      child,
      this.#links.map((link) => link.pid)
    )
    if (pid === undefined) return child
    const process = { pid, startTick: statOf(pid)?.startTick ?? 0 }
    if (this.#state.name !== 'open') {
      void endLate(this.#links.at(-1) as KeeperLink, process, this.#context)
      throw errorOfReason(this.#state.reason)
    }
    const { link, keeperScope } = this.#ownerAt(this.#keepers.present())
    link.adopt(keeperScope, process)
    this.#adopted.set(pid, { ...process, link })
    if (child instanceof ChildProcess) {
      child.once('exit', () => {
        link.left(keeperScope, pid)
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
   *   scope's commands has started: they get their signals together, so release the command. Also for one that was started, or
   *   adopted, before the worker gave up rights.
   */
  release<Child extends Adoptable>(child: Child): Child {
    // What a library has created in this turn is captured in the next step of the loop.
    adoptPending()
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
   * @throws {Error} with the code of `mkdtemp`, such as ENOSPC or EROFS, when none can be made.
   */
  tempDir(): string {
    this.#refuseWhenClosed()
    return this.#folders.make()
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
    if (this.#state.name !== 'open') return
    for (const link of this.#links) link.setDeadline(this.#number, this.#sharedDeadline)
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

  /**
   * The processes of the scope that are alive now, whatever started them. Rejects with the error's code, EMFILE or ENFILE, when the
   * keeper has had no descriptor for 5 s to look at them with.
   */
  async list(): Promise<readonly ScopeProcess[]> {
    const lists = await Promise.all(this.#links.map((link) => link.list(this.#number)))
    return lists.flat()
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

  protected override launch(command: string, args: readonly string[], given: SpawnOptions): Subprocess {
    this.#refuseWhenClosed()
    const { options, streams } = extractStreams(ownOf(given))
    warnOfMisspelledOptions(options, spawnOptionNames, this.#context.log)
    const isDirect = this.#context.launch === 'direct' || needsDirectLaunch(options)
    const owner = this.#ownerAt(isDirect ? this.#keepers.present() : this.#keepers.next())
    const child = isDirect
      ? spawnDirect(owner, command, args, options, this.#variablesFor(options))
      : this.#spawnByKeeper(owner, resolveCommand(command, args, options), options)
    connectStreams(child, streams)
    return this.#started(child, owner)
  }

  protected override launchFork(
    modulePath: string | URL,
    args: readonly string[],
    options: ForkOptions
  ): Subprocess {
    this.#refuseWhenClosed()
    warnOfMisspelledOptions(options, forkOptionNames, this.#context.log)
    const owner = this.#ownerAt(this.#keepers.present())
    return this.#started(forkDirect(owner, modulePath, args, options, this.#variablesFor(options)), owner)
  }

  #spawnByKeeper(owner: SubprocessOwner, command: Command, options: SpawnOptions): KeeperSubprocess {
    return new KeeperSubprocess(command, owner, () => this.#variablesFor(options))
  }

  /** What leads a command to a folder for temporary files that goes with the scope, where it is to have one. */
  #variablesFor(options: TemporaryFilesOf & PrivateTmpOption): Record<string, string> | undefined {
    const { privateTmp = this.#context.privateTmp } = options
    if (!trueOrFalse('options.privateTmp', privateTmp)) return undefined
    return this.#folders.variablesFor(options)
  }

  #releaseCommand(child: ChildProcess): void {
    if (child.pid !== undefined && !this.#linkOf.get(child)?.hasRights) {
      const wayOut = 'it was started with rights that the worker has given up: release it before'
      throw new SubprocessOptionError('child', child.pid, wayOut)
    }
    this.#running.delete(child)
    const release = (): void => {
      this.#released.add(child)
      this.#linkOf.get(child)?.release(this.#number, child.pid as number)
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
    if (
      process === undefined ||
      !process.link.hasRights ||
      stat?.startTick !== process.startTick ||
      !stat.alive
    )
      return false
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
    process.link.letGo(this.#number, process)
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
    if (this.#released.has(child) && !this.#linkOf.get(child)?.isOpen) return
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

  #started(child: Subprocess, { link }: SubprocessOwner): Subprocess {
    this.#linkOf.set(child, link)
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
    const ends = await Promise.all(this.#links.map((link) => this.#endAt(link)))
    const processes = ends.flatMap((end) => end.processes)
    this.#resolveEnded(processes)
    const leftFolders = ends.flatMap((end) => end.leftFolders)
    // The keeper closed it first, while the event loop was blocked.
    const reason = ends.find((end) => end.reason !== undefined)?.reason ?? givenReason
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
    logScopeEnd(this.#context.log, report)
    this.#resolveClosed(report)
    this.#hold.destroyUnreadOutputs(() => errorOfReason(reason))
  }

  /** Ends what one keeper has of the scope. */
  async #endAt(link: KeeperLink): Promise<KeeperReport> {
    const report = await link.closeScope(this.#number)
    return report ?? endLost(link, this.#lost(link), this.#context.log)
  }

  /** Ends one command. In a scope that closes, its end is that of the scope. */
  async #terminate(
    link: KeeperLink,
    child: ChildProcess,
    command: number,
    killSignal: NodeJS.Signals
  ): Promise<TerminationReport> {
    if (this.#released.has(child)) {
      await endReleasedCommand(child, killSignal, this.#context.graceMs)
      return terminationReport([])
    }
    const found =
      this.#state.name === 'open' ? await link.terminate(this.#number, command, killSignal) : undefined
    // Without its keeper the scope closes, too.
    const report = terminationReport(found ?? (await this.#ended))
    if (found !== undefined && report.survivors.length > 0) {
      const err = errorOfSurvivors(report.survivors)
      const { spawnfile: name } = child
      this.#context.log.error(
        { err, scope: this.id, command: name, ...report },
        'a command could not be ended'
      )
    }
    return report
  }

  async #runDeferred(task: () => unknown): Promise<void> {
    try {
      const late = `it did not end within ${deferredMs} ms`
      await pTimeout(Promise.resolve().then(task), { milliseconds: deferredMs, message: late })
    } catch (err) {
      this.#context.log.error({ err, scope: this.id }, 'a deferred function failed')
    }
  }

  /** What the worker knows of what a keeper ran that is lost. */
  #lost(link: KeeperLink): LostScope {
    const { route, graceMs, killSignal, firstSignalTo } = this.#context
    const leaders: number[] = []
    const foreign: ProcessName[] = [...this.#adopted.values()].filter((process) => process.link === link)
    for (const child of this.#running) {
      if (this.#linkOf.get(child) !== link || child.pid === undefined || hasEnded(child)) continue
      if (child instanceof KeeperSubprocess) leaders.push(child.pid)
      else foreign.push({ pid: child.pid, startTick: startTickOf(child.pid) })
    }
    // The number of one that has ended may be another command's.
    const released = [...this.#released].flatMap((child) => (hasEnded(child) ? [] : (child.pid ?? [])))
    return {
      scope: this.#number,
      opening: { id: this.id, route, graceMs, killSignal, firstSignalTo },
      leaders,
      foreign,
      released,
      letGo: this.#letGo,
      folders: this.#folders.ending(this.#released.size > 0)
    }
  }

  #errorOf(link: KeeperLink, failure: LaunchFailure, { file, args }: Command): Error {
    // The scope closed between the call and the start.
    // While it is open here, it can only be that the keeper closed it at its deadline.
    if (failure.code === 'ECANCELED') return errorOfReason(this.reason ?? 'deadline')
    if (failure.code === 'ERR_SUBPROCESS_KEEPER_LOST') {
      if (!link.isOpen) return errorOfReason('keeper-lost')
      return new SubprocessError(failure.code, 'its socket was removed, and there is no other one yet')
    }
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
