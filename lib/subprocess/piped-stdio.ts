/**
 * The piped standard streams of a keeper's subprocess: created, connected to the keeper's socket, and ended.
 */

import { Socket } from 'node:net'
import { nextConnectionNumber } from '../link/sequence-numbers.js'
import { platform } from '../platform/current.js'
import type { StdioTarget } from '../wire/messages.js'
import { streamPipe } from '../wire/stream-pipe.js'
import { acceptStream } from './accept-stream.js'
import { endWhenSilent } from './end-output-when-silent.js'
import { logUnheardError } from './log-unheard-error.js'
import type { Stdio } from './spawn-options.js'
import { InputSocket, OutputSocket } from './stdio-sockets.js'

// A connection may fail with these although the keeper's socket exists (connect(2), socket(2)).
const shortageCodes = new Set(['EAGAIN', 'EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM'])

type Three<Item> = readonly [Item, Item, Item]

/** What the streams report to their subprocess. */
interface StdioListener {
  /** Whether the subprocess has neither started nor failed to start. */
  readonly isStarting: () => boolean
  /**
   * While the subprocess was starting, a connection failed with this code. Without a code, it may be closed
   * at the other end: by a process that has ended already, or by a keeper out of descriptors.
   */
  readonly onConnectionLost: (code?: string) => void
  /** A stream has an error that no listener handles. */
  readonly onUnheardError: (error: Error) => void
  /** See `SubprocessOwner.heardAll`. */
  readonly heardAll: () => Promise<void> | undefined
  /** A stream has ended. Called before its reader gets the end. */
  readonly onEnding: () => void
  /** The last open stream has closed. */
  readonly onAllClosed: () => void
}

/** The standard streams of one subprocess. Those that are not piped are null. */
export class PipedStdio {
  readonly stdin: InputSocket | null
  readonly stdout: OutputSocket | null
  readonly stderr: OutputSocket | null
  readonly #outputs: readonly OutputSocket[]
  readonly #sockets: readonly (InputSocket | OutputSocket)[]
  /** The number of each stream's connection to the keeper. */
  readonly #connections = new Map<InputSocket | OutputSocket, number>()
  readonly #listener: StdioListener
  /** Stops listening for the keeper, where that connects to the worker. */
  readonly #stopAccepting: (() => void)[] = []
  #openCount: number

  constructor([input, output, errors]: Three<Stdio>, listener: StdioListener) {
    this.stdout = output === 'pipe' ? new OutputSocket() : null
    this.stderr = errors === 'pipe' ? new OutputSocket() : null
    this.stdin = input === 'pipe' ? new InputSocket() : null
    this.#outputs = [this.stdout, this.stderr].filter((socket) => socket !== null)
    this.#sockets = this.stdin === null ? this.#outputs : [this.stdin, ...this.#outputs]
    this.#openCount = this.#sockets.length
    this.#listener = listener
    for (const socket of this.#sockets) this.#watch(socket)
  }

  get areAllClosed(): boolean {
    return this.#openCount === 0
  }

  /** The targets for one launch. Each piped stream gets a new connection number. */
  targets(stdio: Three<Stdio>): Three<StdioTarget> {
    for (const socket of this.#sockets) this.#connections.set(socket, nextConnectionNumber())
    const sockets = [this.stdin, this.stdout, this.stderr]
    return stdio.map((target, descriptor) =>
      target === 'pipe' ? this.#connections.get(sockets[descriptor] as OutputSocket) : target
    ) as unknown as Three<StdioTarget>
  }

  /**
   * Connects all piped streams to the keeper, which starts the command when it has all of them. Where the
   * keeper connects, listens for it.
   */
  connect(path: string, headerOf: (connection: number) => string): void {
    for (const [socket, connection] of this.#connections) {
      const header = headerOf(connection)
      if (platform.usesNamedPipes) {
        this.#accept(socket, streamPipe(path, header), header)
        continue
      }
      const connectEndedOne = (): void => connectEnded(path, header, this.#listener.onConnectionLost)
      if (socket.destroyed) {
        connectEndedOne()
        continue
      }
      socket.connectWith(path, header)
      socket.once('close', () => {
        const isAwaited = this.#listener.isStarting() && this.#connections.get(socket) === connection
        if (isAwaited && !socket.isHeaderSent) connectEndedOne()
      })
    }
  }

  /** Connects each piped stream to the pipe that the keeper has made for it. */
  connectToPipes(pipeOf: (connection: number) => string, onConnected: () => void): void {
    let missing = this.#connections.size
    const connected = (): void => {
      missing--
      if (missing === 0) onConnected()
    }
    for (const [socket, connection] of this.#connections) {
      const pipe = pipeOf(connection)
      if (socket.destroyed) {
        // The command gets a stream that has ended.
        const ended = new Socket().once('connect', () => ended.destroy()).once('close', connected)
        ended.once('error', ({ code }: NodeJS.ErrnoException) => this.#listener.onConnectionLost(code))
        ended.connect(pipe)
      } else socket.connectToPipe(pipe, connected)
    }
  }

  /** Closes the connections to a keeper that refused the launch. Returns whether they can be made again. */
  resetConnections(): boolean {
    return this.#sockets.every((socket) => socket.resetConnection())
  }

  /** The command has started: passes on what was buffered in both directions. */
  started(): void {
    this.stdin?.open()
    // Buffered output comes after 'spawn'. Each stream has a tick of its own, because a listener may throw.
    for (const socket of this.#sockets) process.nextTick(() => socket.flush())
  }

  /** The command has not started, and never will. */
  startFailed(): void {
    for (const stop of this.#stopAccepting) stop()
    for (const socket of this.#sockets) socket.stopBuffering()
  }

  /** Ends the outputs of a command that has not started: without data, or with the error. */
  endOutputs(error?: Error): void {
    for (const output of this.#outputs) {
      if (error === undefined) output.endEmpty()
      else output.destroy(error)
    }
  }

  /** Ends the outputs of a process that has exited when everything that it wrote is read. */
  endOutputsWhenRead(): void {
    for (const output of this.#outputs) {
      // As in Node: without a reader, read and drop the output, or 'close' would never come.
      process.nextTick(() => {
        if (output.readable) output.resume()
      })
      endWhenSilent(output)
    }
  }

  #accept(socket: InputSocket | OutputSocket, pipe: string, header: string): void {
    const onConnected = (connection: Socket): void => {
      // The command gets a stream that has ended.
      if (socket.destroyed) connection.destroy()
      else socket.relay(connection, socket !== this.stdin)
    }
    this.#stopAccepting.push(acceptStream(pipe, header, onConnected, this.#listener.onConnectionLost))
  }

  #watch(socket: InputSocket | OutputSocket): void {
    const { onConnectionLost, onUnheardError, heardAll, onEnding, onAllClosed } = this.#listener
    socket.onEarlyLoss = onConnectionLost
    socket.onRethrownError = onUnheardError
    socket.heardAll = heardAll
    socket.beforeEnd = onEnding
    logUnheardError(socket, onUnheardError)
    socket.once('close', () => {
      this.#openCount--
      if (this.#openCount === 0) onAllClosed()
    })
  }
}

/**
 * Connects in place of a stream that the user destroyed before the command has started: the command gets a
 * stream that has ended. Calls `onError` if that fails too: with a code if it could not connect.
 */
function connectEnded(path: string, header: string, onError: (code?: string) => void): void {
  const socket = new Socket()
  socket.once('error', ({ code, syscall }: NodeJS.ErrnoException) => {
    onError(syscall === 'connect' ? code : undefined)
  })
  socket.connect(path)
  socket.write(header, 'latin1', () => socket.destroy())
}

/**
 * The code to report to the keeper for a connection that was lost. An unexpected one means that the
 * keeper's socket file was removed a moment ago, so that the keeper is to blame, not the command.
 */
export function lostConnectionCode(code: string | undefined): string | undefined {
  return code === undefined || shortageCodes.has(code) ? code : 'ERR_SUBPROCESS_KEEPER_LOST'
}
