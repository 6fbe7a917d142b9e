/** The handle that users hold: one started command, as a `ChildProcess` shows it. */

import { AsyncResource } from 'node:async_hooks'
import { EventEmitter } from 'node:events'
import { constants } from 'node:os'
import type { Readable, Writable } from 'node:stream'
import type { Command } from './command.js'
import { SubprocessOptionError } from './errors.js'
import type { KeeperLink, LaunchListener } from './keeper/link.js'
import type { LaunchFailure, StdioTarget } from './keeper/protocol.js'
import { connectEnded, InputSocket, OutputSocket } from './stdio.js'

/** What a subprocess needs of its scope. */
export interface SubprocessOwner {
  readonly link: KeeperLink
  /** The number by which the keeper knows the scope. */
  readonly keeperScope: number
  /** Turns a failed launch into the error that the user sees. */
  errorOf(failure: LaunchFailure, command: Command): Error
  /** Called with what would be an unhandled `'error'` event: on a server that is a log line, not the end. */
  logError(error: Error, subprocess: Subprocess): void
  /** The process has ended, or was never started. */
  subprocessEnded(subprocess: Subprocess): void
}

interface SubprocessEvents {
  spawn: []
  error: [error: Error]
  exit: [code: number | null, signal: NodeJS.Signals | null]
  close: [code: number | null, signal: NodeJS.Signals | null]
}

type State = 'starting' | 'running' | 'over'

/**
 * A command that runs in a scope. It has the properties, methods and events of a `ChildProcess`, with these
 * differences: `pid` is known at `'spawn'` and not before; an `'error'` that nobody listens to is logged;
 * `'close'` does not wait for a grandchild that holds the standard streams in silence.
 */
export class Subprocess extends EventEmitter<SubprocessEvents> {
  /** Known from `'spawn'` on. */
  pid: number | undefined
  readonly stdin: Writable | null
  readonly stdout: Readable | null
  readonly stderr: Readable | null
  readonly stdio: readonly [Writable | null, Readable | null, Readable | null]
  readonly spawnfile: string
  readonly spawnargs: readonly string[]
  /** The status it exited with; null while it runs and when a signal ended it. */
  exitCode: number | null = null
  /** The signal that ended it. */
  signalCode: NodeJS.Signals | null = null
  /** Whether `kill()` has sent a signal. It says nothing about whether the process lives. */
  killed = false

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
  #hasClosed = false

  /** @internal */
  constructor(command: Command, owner: SubprocessOwner) {
    super()
    this.#command = command
    this.#owner = owner
    this.spawnfile = command.file
    this.spawnargs = command.args
    const [input, output, errors] = command.stdio
    const stdout = output === 'pipe' ? new OutputSocket() : null
    const stderr = errors === 'pipe' ? new OutputSocket() : null
    this.#input = input === 'pipe' ? new InputSocket() : null
    this.#outputs = [stdout, stderr].filter((socket) => socket !== null)
    this.stdin = this.#input
    this.stdout = stdout
    this.stderr = stderr
    this.stdio = [this.stdin, this.stdout, this.stderr]
    for (const socket of this.#sockets()) this.#watch(socket)

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
    this.#id = link.launch(keeperScope, command.request(targets), listener)
  }

  /** Always false: there is no channel for messages. */
  get connected(): boolean {
    return false
  }

  /**
   * Sends a signal to the process, not to its children. Returns whether it was there to be signalled. Throws
   * a TypeError for a signal that does not exist.
   */
  kill(signal: NodeJS.Signals | number = 'SIGTERM'): boolean {
    const name = signalName(signal)
    if (this.#state === 'over') return false
    if (name === 0) return true
    this.#owner.link.signal(this.#id, name)
    this.killed = true
    return true
  }

  /** Keeps the worker alive while the process runs, as it does from the start. */
  ref(): void {
    if (this.#isReferenced || this.#state === 'over') return
    this.#isReferenced = true
    this.#owner.link.ref()
  }

  /** Lets the worker end while the process runs. It ends the process with it. */
  unref(): void {
    if (!this.#isReferenced) return
    this.#isReferenced = false
    if (this.#state !== 'over') this.#owner.link.unref()
  }

  #sockets(): (InputSocket | OutputSocket)[] {
    return this.#input === null ? [...this.#outputs] : [this.#input, ...this.#outputs]
  }

  #inContext(act: () => void): void {
    this.#context.runInAsyncScope(act)
  }

  #watch(socket: InputSocket | OutputSocket): void {
    this.#openStreams++
    socket.on('error', (error: NodeJS.ErrnoException) => {
      if (this.#state === 'starting') this.#loseStdio(error)
      // A server does not end because a command closed its standard input early.
      else if (socket.listenerCount('error') === 1) this.#owner.logError(error, this)
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
      socket.once('end', () => {
        if (this.#state === 'starting') this.#loseStdio({ code: 'ECONNRESET' })
      })
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
    this.emit('spawn')
  }

  #onFailed(failure: LaunchFailure): void {
    const error = this.#owner.errorOf(failure, this.#command)
    const isHeard = this.listenerCount('error') > 0
    this.#end()
    for (const output of this.#outputs) {
      // What reads the output must not take a failure for an empty success, unless 'error' tells.
      if (isHeard) output.endEmpty()
      else output.destroy(error)
    }
    if (isHeard) this.emit('error', error)
    else this.#owner.logError(error, this)
    this.#closeWhenComplete()
  }

  #onExited(code: number | null, signal: NodeJS.Signals | null): void {
    this.exitCode = code
    this.signalCode = signal
    this.#end()
    this.emit('exit', code, signal)
    for (const output of this.#outputs) {
      // As Node does: what nobody reads is read away, or 'close' would never come.
      process.nextTick(() => {
        if (output.readable) output.resume()
      })
      output.endWhenSilent()
    }
    this.#closeWhenComplete()
  }

  #end(): void {
    this.#state = 'over'
    this.#input?.destroy()
    if (this.#isReferenced) this.#owner.link.unref()
    this.#owner.subprocessEnded(this)
  }

  #closeWhenComplete(): void {
    if (this.#state !== 'over' || this.#openStreams > 0 || this.#hasClosed) return
    this.#hasClosed = true
    this.emit('close', this.exitCode, this.signalCode)
    this.#context.emitDestroy()
  }
}

function signalName(signal: NodeJS.Signals | number): NodeJS.Signals | 0 {
  if (signal === 0) return 0
  for (const [name, number] of Object.entries(constants.signals)) {
    if (name === signal || number === signal) return name as NodeJS.Signals
  }
  throw new SubprocessOptionError('signal', signal, "give a signal's name or number, such as 'SIGTERM'")
}
