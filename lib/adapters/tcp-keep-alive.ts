/** Enables TCP keep-alive for requests with subprocesses, to notice a client that vanishes silently. */

import type { IncomingMessage } from 'node:http'
import { type Server, Socket } from 'node:net'

// The kernel sends the first probe after this much silence, in ms. libuv sets ten probes, 1 s apart.
const silenceMs = 30_000

/**
 * Lets the kernel probe a client that has been silent for 30 s. If the client does not answer for 10 s, the
 * connection is closed. A server that was created with `keepAlive: true` keeps its own delay. HTTP/2 gives no
 * access to its socket.
 */
export function enableTcpKeepAlive({ socket, httpVersionMajor }: IncomingMessage): void {
  if (httpVersionMajor !== 1 || !(socket instanceof Socket)) return
  const { server } = socket as { server?: Server & { keepAlive?: boolean } }
  // Does nothing if the socket has keep-alive already.
  if (server?.keepAlive !== true) socket.setKeepAlive(true, silenceMs)
}
