/** Accepts the connection of one standard stream, on a system where the keeper connects to the worker. */

import { createServer, type Socket } from 'node:net'
import { headerBytes } from '../wire/connection-header.js'

/**
 * Listens on a pipe until the connection with this header has come. Calls `onConnected` with it: what has
 * been read of it beyond the header can be read again. Calls `onError` with a code if nobody can connect.
 * Returns a function that stops listening.
 */
export function acceptStream(
  pipe: string,
  header: string,
  onConnected: (connection: Socket) => void,
  onError: (code: string | undefined) => void
): () => void {
  /** The connections that have not sent the header: others may connect, too. */
  const unknown = new Set<Socket>()
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    let received = Buffer.alloc(0)
    const read = (bytes: Buffer): void => {
      received = Buffer.concat([received, bytes])
      if (received.length < headerBytes) return
      socket.off('data', read).pause()
      if (received.toString('latin1', 0, headerBytes) !== header) {
        socket.destroy()
        return
      }
      unknown.delete(socket)
      stop()
      if (received.length > headerBytes) socket.unshift(received.subarray(headerBytes))
      onConnected(socket)
    }
    unknown.add(socket)
    socket.on('data', read)
    // 'close' follows.
    socket.on('error', () => {})
    socket.once('close', () => unknown.delete(socket))
  })
  const stop = (): void => {
    server.close()
    for (const socket of unknown) socket.destroy()
  }
  server.on('error', ({ code }: NodeJS.ErrnoException) => onError(code))
  // Not in the primary process of a cluster: the keeper connects at once.
  server.listen({ path: pipe, exclusive: true })
  return stop
}
