/** The handle that users hold: one started command, as a `ChildProcess` shows it. */

import { AsyncResource } from 'node:async_hooks'
import { ChildProcess } from 'node:child_process'
import { channel } from 'node:diagnostics_channel'
import { EventEmitter } from 'node:events'
import type { Readable, Writable } from 'node:stream'
import { SubprocessError } from '../errors.js'
import type { KeeperLink } from '../link/keeper-link.js'
import type { LaunchListener } from '../link/launch-queue.js'
import { nextConnectionNumber } from '../link/sequence-numbers.js'
import type { LaunchFailure, StdioTarget } from '../wire/messages.js'
import { type Command, type StdioEntry, type StdioOption, signalName } from './command.js'
import type { EventHold } from './event-hold.js'
import { throwLater } from './rethrown-errors.js'
import { connectEnded, endWhenSilent, InputSocket, OutputSocket } from './stdio-sockets.js'
import { type TerminationReport, terminationReport } from './termination-report.js'
import { endEarly } from './timeout-and-signal.js'

/** What a subprocess needs of its scope. */
export interface SubprocessOwner {
  readonly link: KeeperLink
  /** The number by which the keeper knows the scope. */
  readonly keeperScope: number
  /** Where what is told of the subprocess can be held back. */
  readonly hold: EventHold
  /** Ends a command that has started, by its number, with all that it has started. Never rejects. */
  terminate(subprocess: ChildProcess, command: number, killSignal: NodeJS.Signals): Promise<TerminationReport>
  /** Turns a failed launch into the error that the user sees. */
  errorOf(failure: LaunchFailure, command: Command): Error
  /** Called with what would be an unhandled `'error'` event: on a server that is a log line, not the end. */
  logError(error: Error, subprocess: ChildProcess): void
  /** The process, or one of its streams, has ended: called before its user hears of that. */
  subprocessEnding(): void
  /** The process has ended, or was never started. */
  subprocessEnded(subprocess: ChildProcess): void
  /** Who has the subprocess when this keeper does not start it, since the worker's rights have changed. Throws where it is not to start. */
  next(subprocess: ChildProcess): SubprocessOwner
}

type Fifth = Readable | Writable | null | undefined

/**
 * A command that runs in a scope: a `ChildProcess`, whoever started it. Through the keeper these differ: `pid`
 * is known at `'spawn'` and not before; an `'error'` that nobody listens to is logged; `'close'` does not wait
 * for a grandchild that holds the standard streams, or for 1 s where that writes on. See `docs/child-process.md`.
 */
export interface Subprocess<
  In extends Writable | null = Writable | null,
  Out extends Readable | null = Readable | null,
  Err extends Readable | null = Readable | null
> extends ChildProcess {
  stdin: In
  stdout: Out
  stderr: Err
  readonly stdio: [In, Out, Err, Fifth, Fifth]
  /**
   * Ends the command with all that it has started, whether its own process has exited or not: `killSignal` of its options to
   * whom `firstSignalTo` says, after the grace of its scope SIGKILL. Resolves when all of them are gone or named as
   * survivors, and never rejects. Other commands of the scope go on. (`kill()` signals the process alone.)
   *
   * A daemon that has left its session and emptied its environment, and whose parents have ended before, belongs to the
   * scope and to no command: it ends with the scope. Of a command that was released the process alone is ended.
   */
  terminate(): Promise<TerminationReport>
  /** Ends the command as `terminate()` does, and waits for that. */
  [Symbol.asyncDispose](): Promise<void>
}

/** The subprocess that comes of `options.stdio`: which of its streams are null follows from that. */
export type SubprocessOf<S extends StdioOption | undefined> = Subprocess<
  StreamOf<S, '0', Writable>,
  StreamOf<S, '1', Readable>,
  StreamOf<S, '2', Readable>
>

type StreamOf<S, Index extends string, Given> = S extends readonly StdioEntry[]
  ? number extends S['length']
    ? Given | null
    : Piped<Index extends keyof S ? S[Index] : undefined, Given>
  : Piped<S, Given>

type Piped<Entry, Given> = Entry extends 'pipe' | 'overlapped' | null | undefined ? Given : null

type State = 'starting' | 'running' | 'over'

// Why there may be no connection though the keeper's socket is there (connect(2), socket(2)).
const wants = new Set(['EAGAIN', 'EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM'])

const created = channel('child_process')

/**
 * A `ChildProcess` by its prototype, without what its constructor does. That makes a native handle, which keeps
 * itself and all that it leads to until a process was spawned with it: here, for ever.
 */
const WithoutHandle = function (): object {
  return Reflect.construct(EventEmitter, [], new.target as unknown as NewableFunction)
} as unknown as new () => ChildProcess
WithoutHandle.prototype = ChildProcess.prototype

/** A subprocess of the keeper. What `ChildProcess` declares is here, but for what belongs to a process of its own. */
export class KeeperSubprocess extends WithoutHandle implements Subprocess {
  /** Known from `'spawn'` on. */
  override pid: number | undefined = undefined
  override stdin: Writable | null
  override stdout: Readable | null
  override stderr: Readable | null
  override readonly stdio: [Writable | null, Readable | null, Readable | null, undefined, undefined]
  override readonly spawnfile: string
  override readonly spawnargs: string[]
  /** The status it exited with; null while it runs and when a signal ended it. */
  override exitCode: number | null = null
  /** The signal that ended it. */
  override signalCode: NodeJS.Signals | null = null
  /** There is no channel for messages through the keeper. */
  override readonly connected = false
  /** Whether `kill()` has sent a signal. It says nothing about whether the process lives. */
  override killed = false

  readonly #command: Command
  readonly #variables: () => Record<string, string> | undefined
  #owner: SubprocessOwner
  #id: number
  readonly #input: InputSocket | null
  readonly #outputs: readonly OutputSocket[]
  /** The number of each socket's connection to the keeper. */
  readonly #connections = new Map<InputSocket | OutputSocket, number>()
  // Events come by the keeper's socket; users expect them in the context that called spawn().
  readonly #context = new AsyncResource('SUBPROCESS')
  #state: State = 'starting'
  #openStreams = 0
  #isReferenced = true
  /** What the user sent before the start. */
  readonly #signals: NodeJS.Signals[] = []
  /** What `options.signal` said before the start: nothing comes before `'spawn'`. */
  #abortedBy: Error | undefined
  #stopHeeding = (): void => {}
  #termination: Promise<TerminationReport> | undefined
  /** Called when it is known whether there is a process. */
  #onStarted = (): void => {}
  #hasClosed = false

  /** @internal */
  constructor(
    command: Command,
    owner: SubprocessOwner,
    variables: () => Record<string, string> | undefined = () => undefined
  ) {
    super()
    // What is wrong with the options it says first of all.
    const first = variables()
    tellDiagnostics(this)
    this.#command = command
    this.#owner = owner
    this.#variables = variables
    this.spawnfile = command.file
    this.spawnargs = [...command.args]
    const [input, output, errors] = command.stdio
    const stdout = output === 'pipe' ? new OutputSocket() : null
    const stderr = errors === 'pipe' ? new OutputSocket() : null
    this.#input = input === 'pipe' ? new InputSocket() : null
    this.#outputs = [stdout, stderr].filter((socket) => socket !== null)
    this.stdin = this.#input
    this.stdout = stdout
    this.stderr = stderr
    this.stdio = [this.stdin, this.stdout, this.stderr] as never
    for (const socket of this.#sockets()) this.#watch(socket)
    owner.hold.add(this)

    owner.link.ref()
    this.#id = this.#launch(first)
    this.#stopHeeding = endEarly({
      timeoutMs: command.timeoutMs,
      signal: command.signal,
      end: () => {
        if (this.#state === 'over') return false
        void this.terminate()
        return true
      },
      aborted: (error) => {
        if (this.#state === 'starting') this.#abortedBy = error
        else this.emit('error', error)
      }
    })
  }

  /** Asks the keeper for it. Returns the number by which the keeper knows it. */
  #launch(variables: Record<string, string> | undefined): number {
    const { link, keeperScope } = this.#owner
    for (const socket of this.#sockets()) this.#connections.set(socket, nextConnectionNumber())
    const targets = this.#command.stdio.map((target, descriptor) =>
      target === 'pipe' ? this.#connections.get(this.stdio[descriptor] as OutputSocket) : target
    ) as unknown as [StdioTarget, StdioTarget, StdioTarget]
    const listener: LaunchListener = {
      connect: (path, headerOf) => this.#inContext(() => this.#connect(path, headerOf)),
      spawned: (pid) => this.#inContext(() => this.#onSpawned(pid)),
      failed: (failure) => this.#inContext(() => this.#onFailed(failure)),
      exited: (code, signal) => this.#inContext(() => this.#onExited(code, signal)),
      refused: () => this.#inContext(() => this.#onRefused())
    }
    const order = this.#command.order(targets)
    return link.launch(keeperScope, variables === undefined ? order : { ...order, variables }, listener)
  }

  /**
   * Sends a signal to the process, not to its children. Returns whether it was there to be signalled. Throws
   * a TypeError for a signal that does not exist.
   */
  override kill(signal: NodeJS.Signals | number = 'SIGTERM'): boolean {
    const name = signal === 0 ? signal : signalName('signal', signal)
    if (this.#state === 'over') return false
    if (name !== 0) {
      if (this.#state === 'starting') this.#signals.push(name)
      this.#owner.link.signal(this.#id, name)
    }
    this.killed = true
    return true
  }

  /** @internal Whether it has neither started nor failed to. */
  get isStarting(): boolean {
    return this.#state === 'starting'
  }

  /** Keeps the worker alive while the process runs, as it does from the start. */
  override ref(): void {
    if (this.#isReferenced || this.#state === 'over') return
    this.#isReferenced = true
    this.#owner.link.ref()
  }

  /** Lets the worker end while the process runs. It ends the process with it. */
  override unref(): void {
    if (!this.#isReferenced) return
    this.#isReferenced = false
    if (this.#state !== 'over') this.#owner.link.unref()
  }

  terminate(): Promise<TerminationReport> {
    this.#termination ??= this.#terminate().finally(() => {
      this.#termination = undefined
    })
    return this.#termination
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.terminate()
  }

  async #terminate(): Promise<TerminationReport> {
    if (this.#state !== 'over') this.killed = true
    if (this.#state === 'starting') {
      await new Promise<void>((resolve) => {
        this.#onStarted = resolve
      })
    }
    if (this.pid === undefined) return terminationReport([])
    return this.#owner.terminate(this, this.#id, this.#command.killSignal)
  }

  /** As of every emitter, but that an error which nobody listens to is no end of a server. */
  override emit(event: string | symbol, ...args: unknown[]): boolean {
    if (event !== 'error' || this.listenerCount('error') > 0) return super.emit(event, ...args)
    this.#owner.logError(args[0] as Error, this)
    return false
  }

  #sockets(): (InputSocket | OutputSocket)[] {
    return this.#input === null ? [...this.#outputs] : [this.#input, ...this.#outputs]
  }

  #inContext(act: () => void): void {
    try {
      this.#context.runInAsyncScope(act)
    } catch (error) {
      // Where it was thrown: what watches over a context, such as a test runner, asks whose error it is.
      this.#context.runInAsyncScope(throwLater, undefined, error)
    }
  }

  #watch(socket: InputSocket | OutputSocket): void {
    this.#openStreams++
    socket.onEarlyLoss = (code) => this.#loseStdio(code)
    socket.onPassedOn = (error) => this.#owner.logError(error, this)
    socket.onEnd = () => this.#owner.subprocessEnding()
    socket.on('error', (error) => {
      // A server does not end because a command closed its standard input early. That its scope has closed is told already.
      if (socket.listenerCount('error') === 1 && !(error instanceof SubprocessError)) {
        this.#owner.logError(error, this)
      }
    })
    socket.once('close', () => {
      this.#openStreams--
      this.#closeWhenComplete()
    })
  }

  #connect(path: string, headerOf: (connection: number) => string): void {
    for (const [socket, connection] of this.#connections) {
      const header = headerOf(connection)
      const connectEndedOne = (): void => connectEnded(path, header, (code) => this.#loseStdio(code))
      if (socket.destroyed) {
        connectEndedOne()
        continue
      }
      socket.connectWith(path, header)
      socket.once('close', () => {
        const isAsked = this.#state === 'starting' && this.#connections.get(socket) === connection
        if (isAsked && !socket.isHeaderSent) connectEndedOne()
      })
    }
  }

  /**
   * A connection failed with that code, or its other end may be closed: by a process that has ended by now, or by a keeper out of
   * descriptors. Only the keeper knows whether the process was there before it.
   */
  #loseStdio(code?: string): void {
    const isWant = code === undefined || wants.has(code)
    // The command is not to blame where the keeper's socket was removed a moment ago.
    this.#owner.link.stdioLost(this.#id, isWant ? code : 'ERR_SUBPROCESS_KEEPER_LOST')
  }

  #onSpawned(pid: number): void {
    this.pid = pid
    this.#state = 'running'
    this.#onStarted()
    this.#input?.open()
    // What has come early follows 'spawn', each in a turn of its own: a listener may throw.
    for (const socket of this.#sockets()) process.nextTick(() => socket.settle(true))
    this.emit('spawn')
    if (this.#abortedBy !== undefined) this.emit('error', this.#abortedBy)
  }

  #onRefused(): void {
    try {
      const { link } = this.#owner
      this.#owner = this.#owner.next(this)
      if (this.#isReferenced) {
        this.#owner.link.ref()
        link.unref()
      }
      const areFree = this.#sockets().every((socket) => socket.leave())
      if (!areFree) throw new SubprocessError('ERR_SUBPROCESS_KEEPER_LOST', 'its rights have changed')
      this.#id = this.#launch(this.#variables())
      for (const signal of this.#signals) this.#owner.link.signal(this.#id, signal)
    } catch (error) {
      this.#fail(error as Error)
    }
  }

  #onFailed(failure: LaunchFailure): void {
    this.#fail(this.#owner.errorOf(failure, this.#command), failure.errno)
  }

  #fail(error: Error, errno?: number): void {
    const isHeard = this.listenerCount('error') > 0
    this.exitCode = errno ?? null
    for (const socket of this.#sockets()) socket.settle(false)
    this.#end()
    for (const output of this.#outputs) {
      // What reads the output must not take a failure for an empty success, unless 'error' tells.
      if (isHeard) output.endEmpty()
      else output.destroy(error)
    }
    this.emit('error', error)
    this.#closeWhenComplete()
  }

  #onExited(code: number | null, signal: NodeJS.Signals | null): void {
    this.#owner.subprocessEnding()
    this.exitCode = code
    this.signalCode = signal
    this.#end()
    this.emit('exit', code, signal)
    for (const output of this.#outputs) {
      // As Node does: what nobody reads is read away, or 'close' would never come.
      process.nextTick(() => {
        if (output.readable) output.resume()
      })
      endWhenSilent(output)
    }
    this.#closeWhenComplete()
  }

  #end(): void {
    this.#state = 'over'
    this.#stopHeeding()
    this.#onStarted()
    this.#input?.destroy()
    if (this.#isReferenced) this.#owner.link.unref()
    this.#owner.subprocessEnded(this)
  }

  #closeWhenComplete(): void {
    if (this.#state !== 'over' || this.#openStreams > 0 || this.#hasClosed) return
    this.#hasClosed = true
    this.#owner.hold.delete(this)
    this.emit('close', this.exitCode, this.signalCode)
    this.#context.emitDestroy()
  }
}

/** As Node's own constructor does, for whoever traces what a server starts. */
function tellDiagnostics(child: ChildProcess): void {
  if (created.hasSubscribers) created.publish({ process: child })
}
