/**
 * The keeper's Unix socket. The worker connects once for each piped standard stream, and the keeper passes
 * the connection to the command. The socket is in a directory that only this user may enter. A process that
 * may enter it may also request the status.
 */

import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type Server, type Socket } from 'node:net'
import { platform } from '../platform/current.js'
import { connectionHeader, headerBytes, statusHeader } from '../wire/connection-header.js'
import { openSocketFolder, removeSocketFolder } from '../wire/socket-folder.js'
import type { StreamConnections } from './process-starter.js'

// A launch takes a connection as soon as its header has arrived, which is slow only while the worker's event
// loop is blocked. A connection that is not taken within this time is not the worker's, or a second one for a
// stream.
const takenWithinMs = 60_000
// More than the worker opens at once (see `lib/link`): beyond the backlog, connect(2) fails with EAGAIN.
const backlog = 1_024

export class StdioServer implements StreamConnections {
  readonly secret = randomBytes(16).toString('hex')
  /** The connections that have arrived and that no launch has taken yet, by number. */
  readonly #arrived = new Map<number, Socket>()
  readonly #timeouts = new WeakMap<Socket, NodeJS.Timeout>()
  readonly #workerMark: string
  readonly #onArrival: (connection: number) => void
  readonly #status: () => unknown
  #folder = ''
  #server: Server | undefined

  /**
   * Opens the socket in a directory named after the worker. Resolves when clients can connect; rejects when
   * no socket can be opened. A connection that requests the status is sent the result of `status`, as one
   * line of JSON.
   */
  static async open(
    workerMark: string,
    onArrival: (connection: number) => void,
    status: () => unknown
  ): Promise<StdioServer> {
    const server = new StdioServer(workerMark, onArrival, status)
    await server.reopen()
    return server
  }

  private constructor(workerMark: string, onArrival: (connection: number) => void, status: () => unknown) {
    this.#workerMark = workerMark
    this.#onArrival = onArrival
    this.#status = status
  }

  /** The path to connect to. */
  get path(): string {
    return platform.socketOf(this.#folder)
  }

  /**
   * Opens a socket in a new directory, then closes the old one: cleanup tools remove files that look old. The
   * connections that have arrived stay. Rejects when no socket can be opened.
   */
  async reopen(): Promise<void> {
    // `allowHalfOpen`: if the worker has already ended its side, the command gets a stream that has ended.
    const server = createServer({ allowHalfOpen: true }, (socket) => this.#accept(socket))
    const folder = await openSocketFolder(this.#workerMark, async (path) => {
      server.listen({ path, backlog })
      await once(server, 'listening')
    })
    // A connection could not be accepted for lack of descriptors: the launch that waits for it is abandoned.
    server.on('error', () => {})
    this.#closeServer()
    this.#folder = folder
    this.#server = server
  }

  /** Removes and returns the connection of this number; undefined when it has not arrived. */
  take(connection: number): Socket | undefined {
    const socket = this.#arrived.get(connection)
    if (socket === undefined) return undefined
    this.#arrived.delete(connection)
    clearTimeout(this.#timeouts.get(socket))
    return socket
  }

  drop(connection: number): void {
    this.take(connection)?.destroy()
  }

  /** Whether the connection of this number has arrived. */
  has(connection: number): boolean {
    return this.#arrived.has(connection)
  }

  /** Closes the socket and removes its directory. */
  close(): void {
    for (const socket of this.#arrived.values()) socket.destroy()
    this.#closeServer()
  }

  #closeServer(): void {
    this.#server?.close()
    if (this.#folder !== '') removeSocketFolder(this.#folder)
  }

  #accept(socket: Socket): void {
    const timeout = setTimeout(() => socket.destroy(), takenWithinMs)
    this.#timeouts.set(socket, timeout)
    let header = ''
    const read = (bytes: Buffer): void => {
      header += bytes.toString('latin1')
      if (header.length < headerBytes) return
      socket.off('data', read)
      if (header === statusHeader) {
        this.#sendStatus(socket)
        return
      }
      const connection = Number.parseInt(header.slice(this.secret.length), 16)
      // The worker sends nothing but the header until the launch is confirmed: more is not the worker's.
      if (header !== connectionHeader(this.secret, connection) || this.#arrived.has(connection)) {
        socket.destroy()
        return
      }
      socket.pause()
      this.#arrived.set(connection, socket)
      socket.once('close', () => {
        if (this.#arrived.get(connection) === socket) this.#arrived.delete(connection)
      })
      this.#onArrival(connection)
    }
    socket.on('data', read)
    socket.once('end', () => {
      if (header.length < headerBytes) socket.destroy()
    })
    socket.once('close', () => clearTimeout(timeout))
    // 'close' follows.
    socket.on('error', () => {})
  }

  /** The timeout of the connection stays: the client may not read the answer. */
  #sendStatus(socket: Socket): void {
    try {
      socket.end(`${JSON.stringify(this.#status())}\n`)
    } catch {
      // No descriptor is available to read the processes. The keeper must not fail for the sake of an answer.
      socket.destroy()
    }
  }
}
