/** One scope: the subprocesses of one request, from its first spawn to the proof that all are gone. */

import type { ChildProcess, ForkOptions } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pTimeout from 'p-timeout'
import type { CloseReason } from './close-reason.js'
import {
  type Command,
  needsDirectLaunch,
  resolveCommand,
  type SpawnOptions,
  type StdioOption
} from './command.js'
import { CommandStream, type StreamOptions, splitStreamOptions } from './command-stream.js'
import { forkDirect, spawnDirect } from './direct.js'
import { SubprocessError, type SubprocessErrorCode, SubprocessOptionError } from './errors.js'
import { collect, type ExecOptions, type Output, type PromiseWithChild, splitExecOptions } from './exec.js'
import type { KeeperLink } from './keeper/link.js'
import type { EndedProcess, LaunchFailure, LeftFolder } from './keeper/protocol.js'
import { endLate } from './late.js'
import type { Logger } from './log.js'
import { milliseconds } from './options.js'
import { type ScopeProcess, statOf } from './platform/linux.js'
import { KeeperSubprocess, type Subprocess, type SubprocessOf, type SubprocessOwner } from './subprocess.js'

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
}

/** What `adopt` takes: a process id, or something that has one. */
export type Adoptable = number | { readonly pid?: number | undefined }

interface BufferEncodingOption {
  encoding: 'buffer' | null
}

/** What became of a scope. */
export interface ScopeReport {
  readonly scope: string
  readonly route: string | undefined
  readonly reason: CloseReason
  /** How long the scope was open, in ms. */
  readonly openMs: number
  /** How long it took from then until every process was proven gone, in ms. */
  readonly closeMs: number
  /** The processes that were alive when the scope closed, and how each ended. */
  readonly processes: readonly EndedProcess[]
  /** Those of them that could not be ended. */
  readonly survivors: readonly EndedProcess[]
  /** Folders of `tempDir()` that could not be removed, and why. */
  readonly leftFolders: readonly LeftFolder[]
}

type State = { readonly name: 'open' } | { readonly name: 'closing' | 'closed'; readonly reason: CloseReason }

const mostProcessesLogged = 50
// How long a deferred function may take before the scope closes without it.
const deferredMs = 10_000

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

/**
 * The subprocesses of one request. When the scope closes, every process of it ends, with all that these have
 * started. See the README for what each containment level finds.
 */
export class Scope {
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
  readonly #deferred: (() => unknown)[] = []
  readonly #folders: string[] = []
  readonly #openedAt = performance.now()
  #state: State = { name: 'open' }
  #abort: AbortController | undefined
  /** Where the deadline was when the scope began to close: the next request on a connection has another one. */
  #lastDeadlineAt = 0
  #resolveClosed!: (report: ScopeReport) => void

  /** @internal */
  constructor(id: string, link: KeeperLink, context: ScopeContext) {
    this.id = id
    this.#link = link
    this.#context = context
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve
    })
    this.#owner = {
      link,
      keeperScope: link.openScope(context.graceMs, context.killSignal),
      graceMs: context.graceMs,
      errorOf: (failure, command) => this.#errorOf(failure, command),
      logError: (err, { spawnfile: command, pid }) => {
        // That a command was not started since its scope had closed is no fault of anybody.
        const level = err instanceof SubprocessError ? 'info' : 'error'
        context.log[level](
          { err, scope: id, command, pid },
          'a subprocess failed and nobody listens to its error'
        )
      },
      subprocessEnded: (subprocess) => this.#running.delete(subprocess)
    }
  }

  /**
   * Starts a command, as `child_process.spawn` does. It ends with the scope, with all that it has started.
   *
   * @throws {TypeError} for an argument or option of the wrong shape.
   * @throws {SubprocessError} when the scope is closed: `ERR_SUBPROCESS_DEADLINE`,
   *   `ERR_SUBPROCESS_DISCONNECTED`, `ERR_SUBPROCESS_SHUTDOWN`, `ERR_SUBPROCESS_KEEPER_LOST` or
   *   `ERR_SUBPROCESS_SCOPE_CLOSED`.
   */
  spawn<const S extends StdioOption | undefined = 'pipe'>(
    command: string,
    options?: SpawnOptions<S>
  ): SubprocessOf<S>
  spawn<const S extends StdioOption | undefined = 'pipe'>(
    command: string,
    args?: readonly string[] | null,
    options?: SpawnOptions<S>
  ): SubprocessOf<S>
  spawn(
    command: string,
    argsOrOptions?: readonly string[] | SpawnOptions | null,
    options?: SpawnOptions
  ): Subprocess {
    const [args, given] = split(argsOrOptions, options)
    return this.#spawn(command, args, given)
  }

  /**
   * Runs a program to its end and resolves with what it wrote.
   *
   * @throws as `spawn` does, at the call. Rejects with an `ExecError` when the command fails, is ended, or writes
   *   more than `maxBuffer`.
   */
  execFile(file: string, options: ExecOptions & BufferEncodingOption): PromiseWithChild<Output<Buffer>>
  execFile(
    file: string,
    args: readonly string[] | null | undefined,
    options: ExecOptions & BufferEncodingOption
  ): PromiseWithChild<Output<Buffer>>
  execFile(file: string, options?: ExecOptions): PromiseWithChild<Output>
  execFile(file: string, args?: readonly string[] | null, options?: ExecOptions): PromiseWithChild<Output>
  execFile(
    file: string,
    argsOrOptions?: readonly string[] | ExecOptions | null,
    options?: ExecOptions
  ): PromiseWithChild<Output<never>> {
    const [args, given] = split(argsOrOptions, options)
    const { run, spawnOptions } = splitExecOptions(given)
    const child = this.#spawn(file, args, spawnOptions)
    return Object.assign(collect(child, [file, ...args].join(' '), run), { child })
  }

  /**
   * Runs a line of shell to its end and resolves with what it wrote. Never put unchecked input into it.
   *
   * @throws as `execFile` does.
   */
  exec(command: string, options: ExecOptions & BufferEncodingOption): PromiseWithChild<Output<Buffer>>
  exec(command: string, options?: ExecOptions): PromiseWithChild<Output>
  exec(command: string, options: ExecOptions = {}): PromiseWithChild<Output<never>> {
    return this.execFile(command, [], { ...options, shell: options.shell || true }) as PromiseWithChild<
      Output<never>
    >
  }

  /**
   * Starts a Node program with a channel for messages, as `child_process.fork` does. The worker is its parent; the
   * keeper ends it like the rest.
   *
   * @throws as `spawn` does.
   */
  fork(modulePath: string | URL, options?: ForkOptions): Subprocess
  fork(modulePath: string | URL, args?: readonly string[] | null, options?: ForkOptions): Subprocess
  fork(
    modulePath: string | URL,
    argsOrOptions?: readonly string[] | ForkOptions | null,
    options?: ForkOptions
  ): Subprocess {
    this.#refuseWhenClosed()
    const [args, given] = split(argsOrOptions, options)
    return this.#started(forkDirect(this.#owner, modulePath, args, given))
  }

  /**
   * Starts a command as a stream: its standard output, and its standard input unless `input` is given. The stream is
   * destroyed with `ERR_SUBPROCESS_FAILED` when the command fails or is ended, so that a response is an error
   * or is cut off, and never silently short.
   *
   * @throws as `spawn` does.
   */
  stream(command: string, options?: StreamOptions): CommandStream
  stream(command: string, args?: readonly string[] | null, options?: StreamOptions): CommandStream
  stream(
    command: string,
    argsOrOptions?: readonly string[] | StreamOptions | null,
    options?: StreamOptions
  ): CommandStream {
    const [args, given] = split(argsOrOptions, options)
    const { input, statusCode, spawnOptions } = splitStreamOptions(given)
    const child = this.#spawn(command, args, { ...spawnOptions, stdio: 'pipe' })
    return new CommandStream(child, [command, ...args].join(' '), input, statusCode)
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
    this.#link.adopt(this.#owner.keeperScope, process)
    return child
  }

  /**
   * Lets a command outlive the scope, with all that it starts: nobody ends it any more, not even when the worker
   * is gone. Before `'spawn'` it takes effect then. A daemon of it that leaves its session while the scope is open
   * may still be taken for the scope's. Returns what it was given.
   *
   * @throws {TypeError} for what is no subprocess of this scope.
   */
  release<Child extends ChildProcess>(child: Child): Child {
    if (!this.#running.has(child)) {
      throw new SubprocessOptionError('child', child?.pid, 'give a running subprocess of this scope')
    }
    const release = (): void => {
      this.#running.delete(child)
      this.#link.release(this.#owner.keeperScope, child.pid as number)
    }
    if (child.pid === undefined) child.once('spawn', release)
    else release()
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
    const path = mkdtempSync(join(tmpdir(), 'subprocess-'))
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
  }

  /** When the deadline passes, in ms by the clock of `Date.now()`; `Infinity` without one. */
  get deadline(): number {
    return performance.timeOrigin + this.#deadlineAt
  }

  /** How long it is to the deadline, in ms and never below 0; `Infinity` without one. */
  get remaining(): number {
    return Math.max(0, this.#deadlineAt - performance.now())
  }

  /** Aborts when the scope begins to close, with a `SubprocessError` whose `reason` is the close reason. */
  get signal(): AbortSignal {
    if (this.#abort === undefined) {
      this.#abort = new AbortController()
      if (this.#state.name !== 'open') this.#abort.abort(errorOfReason(this.#state.reason))
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
      this.#abort?.abort(errorOfReason(reason))
      void this.#end(reason)
    }
    return this.closed
  }

  get #deadlineAt(): number {
    return this.#state.name === 'open' ? this.#context.term.deadlineAt : this.#lastDeadlineAt
  }

  #refuseWhenClosed(): void {
    if (this.#state.name !== 'open') throw errorOfReason(this.#state.reason)
  }

  #spawn(command: string, args: readonly string[], options: SpawnOptions): Subprocess {
    this.#refuseWhenClosed()
    if (this.#context.launch === 'direct' || needsDirectLaunch(options)) {
      return this.#started(spawnDirect(this.#owner, command, args, options))
    }
    return this.#started(
      new KeeperSubprocess(resolveCommand(this.#link.rights, command, args, options), this.#owner)
    )
  }

  #started(child: Subprocess): Subprocess {
    this.#running.add(child)
    return child
  }

  async #end(reason: CloseReason): Promise<void> {
    const closingAt = performance.now()
    const unaccounted = this.#unaccounted()
    const found = await this.#link.closeScope(this.#owner.keeperScope)
    const processes = found?.processes ?? unaccounted
    const leftFolders = found?.leftFolders ?? this.#removeFolders()
    for (let task = this.#deferred.pop(); task !== undefined; task = this.#deferred.pop()) {
      await this.#runDeferred(task)
    }
    this.#state = { name: 'closed', reason }
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
    this.#logEnd(report)
    this.#resolveClosed(report)
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

  /** What runs: with the keeper lost, nobody could prove that it has ended. */
  #unaccounted(): EndedProcess[] {
    return [...this.#running].flatMap(({ pid, spawnargs }) =>
      pid === undefined
        ? []
        : [
            {
              pid,
              command: spawnargs.join(' '),
              ended: 'survived',
              why: 'the keeper that could end it is lost'
            }
          ]
    )
  }

  #logEnd({ processes, survivors, leftFolders, ...report }: ScopeReport): void {
    if (leftFolders.length > 0) {
      this.#context.log.error({ ...report, leftFolders }, 'folders of a closed scope could not be removed')
    }
    if (processes.length === 0) return
    const fields = { ...report, processes: processes.slice(0, mostProcessesLogged) }
    const ended = processes.length - survivors.length
    const message = `scope closed (${report.reason}): ended ${ended} processes, ${survivors.length} survived`
    if (survivors.length > 0) {
      const named = survivors.map(({ pid, command, why }) => `${pid} ${command} (${why})`).join('; ')
      const err = new SubprocessError('ERR_SUBPROCESS_SURVIVORS', named)
      this.#context.log.error({ ...fields, survivors, err }, message)
    } else if (report.reason === 'deadline' || report.reason === 'failed' || report.reason === 'finished') {
      this.#context.log.warn(fields, message)
    } else {
      this.#context.log.info(fields, message)
    }
  }

  #errorOf(failure: LaunchFailure, { file, args }: Command): Error {
    // The scope closed between the call and the start.
    if (failure.code === 'ECANCELED' && this.#state.name !== 'open') return errorOfReason(this.#state.reason)
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

/** The two forms of a call: with arguments, and without. */
function split<Options extends object>(
  argsOrOptions: readonly string[] | Options | null | undefined,
  options: Options | undefined
): [args: readonly string[], options: Options] {
  const isOptions =
    typeof argsOrOptions === 'object' && argsOrOptions !== null && !Array.isArray(argsOrOptions)
  if (isOptions) return [[], argsOrOptions as Options]
  return [(argsOrOptions as readonly string[] | null | undefined) ?? [], options ?? ({} as Options)]
}

/** The process to adopt; undefined where none was started. Throws a TypeError for one that must not be ended. */
function adoptablePid(child: Adoptable, keeper: number): number | undefined {
  const isObject = (typeof child === 'object' || typeof child === 'function') && child !== null
  const pid = isObject ? child.pid : child
  if (isObject && pid === undefined) return undefined
  if (typeof pid !== 'number' || !Number.isInteger(pid) || pid <= 0) {
    throw new SubprocessOptionError('child', child, 'give a ChildProcess, or the id of a process')
  }
  if (pid === keeper)
    throw new SubprocessOptionError('child', pid, 'that is the keeper: give a process to be ended')
  for (let at: number | undefined = process.pid; at !== undefined && at > 0; at = statOf(at)?.parent) {
    if (at !== pid) continue
    throw new SubprocessOptionError(
      'child',
      pid,
      'the worker runs in it: give a process that the worker started'
    )
  }
  return pid
}
