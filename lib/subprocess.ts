/** The handle that users hold: one started command, as a `ChildProcess` shows it. */

import { AsyncResource } from 'node:async_hooks'
import { ChildProcess } from 'node:child_process'
import { channel } from 'node:diagnostics_channel'
import { EventEmitter } from 'node:events'
import type { Readable, Writable } from 'node:stream'
import { type Command, type StdioEntry, type StdioOption, signalName } from './command.js'
import { SubprocessError } from './errors.js'
import type { Hold } from './hold.js'
import type { KeeperLink, LaunchListener } from './keeper/link.js'
import type { LaunchFailure, StdioTarget } from './keeper/protocol.js'
import { throwLater } from './passed-on.js'
import { connectEnded, endWhenSilent, InputSocket, OutputSocket } from './stdio.js'

/** What a subprocess needs of its scope. */
export interface SubprocessOwner {
  readonly link: KeeperLink
  /** The number by which the keeper knows the scope. */
  readonly keeperScope: number
  /** Between the first signal and SIGKILL. */
  readonly graceMs: number
  /** Where what is told of the subprocess can be held back. */
  readonly hold: Hold
  /** Turns a failed launch into the error that the user sees. */
  errorOf(failure: LaunchFailure, command: Command): Error
  /** Called with what would be an unhandled `'error'` event: on a server that is a log line, not the end. */
  logError(error: Error, subprocess: ChildProcess): void
  /** The process, or one of its streams, has ended: called before its user hears of that. */
  subprocessEnding(): void
  /** The process has ended, or was never started. */
  subprocessEnded(subprocess: ChildProcess): void
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
  /** Ends the process as `kill()` does, after the grace of its scope with SIGKILL, and resolves at its `'exit'`. */
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
  readonly #owner: SubprocessOwner
  readonly #id: number
  readonly #input: InputSocket | null
  readonly #outputs: readonly OutputSocket[]
  /** The number of each socket's connection to the keeper. */
  readonly #connections = new Map<InputSocket | OutputSocket, number>()
  // Events come by the keeper's socket; users expect them in the context that called spawn().
  readonly #context = new AsyncResource('SUBPROCESS')
  #state: State = 'starting'
  #openStreams = 0
  #isReferenced = true
  /** What `options.signal` said before the start: nothing comes before `'spawn'`. */
  #abortedBy: Error | undefined
  #stopHeeding = (): void => {}
  #hasClosed = false

  /** @internal */
  constructor(command: Command, owner: SubprocessOwner) {
    super()
    tellDiagnostics(this)
    this.#command = command
    this.#owner = owner
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

    const { link, keeperScope } = owner
    link.ref()
    for (const socket of this.#sockets()) this.#connections.set(socket, link.nextConnection())
    const targets = [this.#input, stdout, stderr].map((socket, descriptor) =>
      socket === null ? command.stdio[descriptor] : this.#connections.get(socket)
    ) as [StdioTarget, StdioTarget, StdioTarget]
    const listener: LaunchListener = {
      connect: (path, headerOf) => this.#inContext(() => this.#connect(path, headerOf)),
      spawned: (pid) => this.#inContext(() => this.#onSpawned(pid)),
      failed: (failure) => this.#inContext(() => this.#onFailed(failure)),
      exited: (code, signal) => this.#inContext(() => this.#onExited(code, signal))
    }
    this.#id = link.launch(keeperScope, command.order(targets), listener)
    this.#heed(command)
  }

  /**
   * Sends a signal to the process, not to its children. Returns whether it was there to be signalled. Throws
   * a TypeError for a signal that does not exist.
   */
  override kill(signal: NodeJS.Signals | number = 'SIGTERM'): boolean {
    const name = signal === 0 ? signal : signalName('signal', signal)
    if (this.#state === 'over') return false
    if (name !== 0) this.#owner.link.signal(this.#id, name)
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

  async [Symbol.asyncDispose](): Promise<void> {
    await endOne(this, this.#owner.graceMs)
  }

  /** The options `timeout` and `signal`, as `child_process.spawn` has them. */
  #heed({ timeoutMs, signal, killSignal }: Command): void {
    const timer = timeoutMs > 0 ? setTimeout(() => this.kill(killSignal), timeoutMs) : undefined
    const abort = (): void => {
      if (!this.kill(killSignal)) return
      const error = abortError(signal?.reason)
      if (this.#state === 'starting') this.#abortedBy = error
      else this.#fail(error)
    }
    if (signal?.aborted) process.nextTick(abort)
    else signal?.addEventListener('abort', abort, { once: true })
    this.#stopHeeding = () => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', abort)
    }
  }

  /** An error that nobody listens to is no end of a server. */
  #fail(error: Error): void {
    if (this.listenerCount('error') > 0) this.emit('error', error)
    else this.#owner.logError(error, this)
  }

  #sockets(): (InputSocket | OutputSocket)[] {
    return this.#input === null ? [...this.#outputs] : [this.#input, ...this.#outputs]
  }

  #inContext(act: () => void): void {
    try {
      this.#context.runInAsyncScope(act)
    } catch (error) {
      throwLater(error)
    }
  }

  #watch(socket: InputSocket | OutputSocket): void {
    this.#openStreams++
    socket.onEarlyLoss = (error) => this.#loseStdio(error)
    socket.onPassedOn = (error) => this.#owner.logError(error, this)
    socket.onEnd = () => this.#owner.subprocessEnding()
    socket.on('error', (error: NodeJS.ErrnoException) => {
      if (this.#state === 'starting') this.#loseStdio(error)
      // A server does not end because a command closed its standard input early. That its scope has closed is told already.
      else if (socket.listenerCount('error') === 1 && !(error instanceof SubprocessError)) {
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
      const connectEndedOne = (): void => connectEnded(path, header, (error) => this.#loseStdio(error))
      if (socket.destroyed) {
        connectEndedOne()
        continue
      }
      socket.connectWith(path, header)
      socket.once('close', () => {
        if (this.#state === 'starting' && !socket.isHeaderSent) connectEndedOne()
      })
    }
  }

  /** A connection failed. Only the keeper knows whether the process was there before it. */
  #loseStdio({ code = 'EPIPE' }: { code?: string | undefined }): void {
    // The other end was closed: by a process that has ended by now, or by a keeper out of descriptors.
    const wasDropped = code === 'ECONNRESET' || code === 'EPIPE'
    this.#owner.link.stdioLost(this.#id, wasDropped ? 'EMFILE' : code)
  }

  #onSpawned(pid: number): void {
    this.pid = pid
    this.#state = 'running'
    this.#input?.open()
    // What has come early follows 'spawn', each in a turn of its own: a listener may throw.
    for (const socket of this.#sockets()) process.nextTick(() => socket.settle(true))
    this.emit('spawn')
    if (this.#abortedBy !== undefined) this.#fail(this.#abortedBy)
  }

  #onFailed(failure: LaunchFailure): void {
    const error = this.#owner.errorOf(failure, this.#command)
    const isHeard = this.listenerCount('error') > 0
    this.exitCode = failure.errno ?? null
    for (const socket of this.#sockets()) socket.settle(false)
    this.#end()
    for (const output of this.#outputs) {
      // What reads the output must not take a failure for an empty success, unless 'error' tells.
      if (isHeard) output.endEmpty()
      else output.destroy(error)
    }
    this.#fail(error)
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

/** Ends a process, not its children: SIGTERM, SIGKILL after the grace. Resolves at its `'exit'`. */
export function endOne(child: ChildProcess, graceMs: number): Promise<void> {
  return new Promise((resolve) => {
    const isOver = child.exitCode !== null || child.signalCode !== null
    if (isOver || !child.kill()) {
      resolve()
      return
    }
    const timer = setTimeout(() => child.kill('SIGKILL'), graceMs)
    // Not 'error': a process that could not be started has 'close' and no 'exit'.
    for (const event of ['exit', 'close']) {
      child.once(event, () => {
        clearTimeout(timer)
        resolve()
      })
    }
  })
}

/** What Node gives when a signal is aborted. */
function abortError(cause: unknown): Error {
  return Object.assign(new Error('The operation was aborted', { cause }), {
    name: 'AbortError',
    code: 'ABORT_ERR'
  })
}

/** As Node's own constructor does, for whoever traces what a server starts. */
function tellDiagnostics(child: ChildProcess): void {
  if (created.hasSubscribers) created.publish({ process: child })
}
