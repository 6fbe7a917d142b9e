/**
 * Opens the connections of standard streams, on a system with named pipes where the keeper cannot make them: the
 * command needs an end that blocks, and without native calls only the end that connects can be had so.
 */

import { closeSync, openSync, writeSync } from 'node:fs'
import { connectionHeader } from '../wire/connection-header.js'
import { streamPipe } from '../wire/stream-pipe.js'
import type { OpenedStream, StreamConnections } from './process-starter.js'
import type { StdioServer } from './stdio-server.js'

/** The worker listens before it orders a launch, so a connection is always there. */
export class OpeningConnections implements StreamConnections {
  readonly #server: StdioServer

  /** The pipes are named after that of the server, and authenticated by its secret. */
  constructor(server: StdioServer) {
    this.#server = server
  }

  has(): boolean {
    return true
  }

  /** Nothing is open before `take`. */
  drop(): void {}

  take(connection: number): OpenedStream {
    const { path, secret } = this.#server
    const header = connectionHeader(secret, connection)
    const descriptor = openSync(streamPipe(path, header), 'r+')
    try {
      // Others may connect to the worker, too. They do not have the secret.
      writeSync(descriptor, header)
    } catch (error) {
      closeSync(descriptor)
      throw error
    }
    return { descriptor, destroy: () => closeSync(descriptor) }
  }
}
