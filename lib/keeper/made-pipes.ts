/**
 * Makes the named pipes of standard streams, on a system where the keeper can make pipes that only this user can
 * open. The worker connects to them.
 */

import { closeSync } from 'node:fs'
import { connectionHeader } from '../wire/connection-header.js'
import { streamPipe } from '../wire/stream-pipe.js'
import type { OpenedStream, StreamConnections } from './process-starter.js'
import type { StdioServer } from './stdio-server.js'

export class MadePipes implements StreamConnections {
  readonly #server: Pick<StdioServer, 'path' | 'secret'>
  readonly #makePipe: (path: string) => number
  readonly #made = new Map<number, OpenedStream>()
  /** Those that the worker has connected to. */
  readonly #connected = new Set<number>()

  /** The pipes are named after that of the server and its secret. `makePipe` returns a descriptor. */
  constructor(server: Pick<StdioServer, 'path' | 'secret'>, makePipe: (path: string) => number) {
    this.#server = server
    this.#makePipe = makePipe
  }

  make(connections: readonly number[]): void {
    const { path, secret } = this.#server
    for (const connection of connections) {
      const descriptor = this.#makePipe(streamPipe(path, connectionHeader(secret, connection)))
      this.#made.set(connection, { descriptor, destroy: () => closeSync(descriptor) })
    }
  }

  noteConnected(connections: readonly number[]): void {
    for (const connection of connections) this.#connected.add(connection)
  }

  has(connection: number): boolean {
    return this.#connected.has(connection)
  }

  take(connection: number): OpenedStream | undefined {
    const stream = this.#made.get(connection)
    this.#made.delete(connection)
    this.#connected.delete(connection)
    return stream
  }

  drop(connection: number): void {
    this.take(connection)?.destroy()
  }
}
