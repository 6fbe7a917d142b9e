/** TCP keep-alive for connections whose requests have subprocesses: a client that vanishes without a word is noticed. */

import type { IncomingMessage } from 'node:http'
import { type Server, Socket } from 'node:net'

// The first probe comes after so many ms of silence; libuv has the kernel send ten, a second apart.
const silenceMs = 30_000

/**
 * Has the kernel ask clients that are silent for 30 s whether they are still there; one that does not answer for 10 s has its
 * connection closed. A server that was made with `keepAlive: true` keeps its own delay. HTTP/2 gives no access to its socket.
 */
export function keepAlive({ socket, httpVersionMajor }: IncomingMessage): void {
  if (httpVersionMajor !== 1 || !(socket instanceof Socket)) return
  const { server } = socket as { server?: Server & { keepAlive?: boolean } }
  // Without effect on a socket that has it already.
  if (server?.keepAlive !== true) socket.setKeepAlive(true, silenceMs)
}
