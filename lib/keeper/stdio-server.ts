/**
 * The keeper's socket: the worker connects once for each piped standard stream, and the keeper hands the
 * connection to the subprocess. It lives in a folder that only this user may enter; whoever may, can ask for
 * the status.
 */

import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type Server, type Socket } from 'node:net'
import { connectionHeader, headerBytes, statusHeader } from '../wire/connection-header.js'
import { openSocketFolder, removeSocketFolder, socketIn } from '../wire/socket-folder.js'

// A connection is taken as soon as it has come and said its header, which takes long only where the worker's event loop is blocked.
// Whatever is not taken by then is a stranger's, or a second one for a stream that has been taken.
const takenWithinMs = 60_000
// More would wait than the worker opens at once (`mostOpening` in link.ts).
const backlog = 1_024

export class StdioServer {
  readonly secret = randomBytes(16).toString('hex')
  /** Connections that have come and that no launch has taken yet. */
  readonly #arrived = new Map<number, Socket>()
  readonly #dismissals = new WeakMap<Socket, NodeJS.Timeout>()
  readonly #workerMark: string
  readonly #onArrival: (connection: number) => void
  readonly #onStatus: () => unknown
  #folder = ''
  #server: Server | undefined

  /**
   * Opens the socket, in a folder that is named after the worker, and resolves when it can be connected to. Rejects where
   * there can be none. What `onStatus` returns is the answer to a connection that asks for the status, as one line of JSON.
   */
  static async open(
    workerMark: string,
    onArrival: (connection: number) => void,
    onStatus: () => unknown
  ): Promise<StdioServer> {
    const door = new StdioServer(workerMark, onArrival, onStatus)
    await door.move()
    return door
  }

  private constructor(workerMark: string, onArrival: (connection: number) => void, onStatus: () => unknown) {
    this.#workerMark = workerMark
    this.#onArrival = onArrival
    this.#onStatus = onStatus
  }

  /** Where to connect to. */
  get path(): string {
    return socketIn(this.#folder)
  }

  /**
   * Opens a socket in a folder of its own, and closes the one there was: tools that tidy up remove what looks old. What has come
   * stays. Rejects where there can be none.
   */
  async move(): Promise<void> {
    // Half open: where the worker has ended its side by now, the subprocess gets a stream that has ended.
    const server = createServer({ allowHalfOpen: true }, (socket) => this.#admit(socket))
    const folder = await openSocketFolder(this.#workerMark, async (path) => {
      server.listen({ path, backlog })
      await once(server, 'listening')
    })
    // A connection that cannot be accepted, for want of descriptors: the launch that waits for it gives up.
    server.on('error', () => {})
    this.#leave()
    this.#folder = folder
    this.#server = server
  }

  /** The connection of that number, once it has come. */
  take(connection: number): Socket | undefined {
    const socket = this.#arrived.get(connection)
    if (socket === undefined) return undefined
    this.#arrived.delete(connection)
    clearTimeout(this.#dismissals.get(socket))
    return socket
  }

  has(connection: number): boolean {
    return this.#arrived.has(connection)
  }

  /** Closes the socket and removes its folder. */
  close(): void {
    for (const socket of this.#arrived.values()) socket.destroy()
    this.#leave()
  }

  #leave(): void {
    this.#server?.close()
    if (this.#folder !== '') removeSocketFolder(this.#folder)
  }

  #admit(socket: Socket): void {
    const dismissal = setTimeout(() => socket.destroy(), takenWithinMs)
    this.#dismissals.set(socket, dismissal)
    let header = ''
    const read = (bytes: Buffer): void => {
      header += bytes.toString('latin1')
      if (header.length < headerBytes) return
      socket.off('data', read)
      if (header === statusHeader) {
        this.#answer(socket)
        return
      }
      const connection = Number.parseInt(header.slice(this.secret.length), 16)
      // The worker holds back what is for the subprocess until the launch is confirmed: more is a stranger's.
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
    socket.once('close', () => clearTimeout(dismissal))
    // A connection that fails is closed, and 'close' follows.
    socket.on('error', () => {})
  }

  /** The dismissal still stands, for whoever does not read the answer. */
  #answer(socket: Socket): void {
    try {
      socket.end(`${JSON.stringify(this.#onStatus())}\n`)
    } catch {
      // For want of descriptors nothing can be told. The scopes are worth more than an answer.
      socket.destroy()
    }
  }
}
