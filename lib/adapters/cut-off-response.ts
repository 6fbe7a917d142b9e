/** Cuts off a response, so that the client sees that it is incomplete. */

import type { ServerResponse } from 'node:http'
import { constants } from 'node:http2'
import type { Socket } from 'node:net'
import { overrideMethod } from '../subprocess/override-method.js'
import type { Transport } from './transport.js'

type Response = Pick<ServerResponse, 'destroy' | 'headersSent' | 'hasHeader' | 'once' | 'socket'> & {
  readonly chunkedEncoding?: boolean
}

// How long a client may take to read what was written before the cut, in ms.
const flushMs = 1_000

/**
 * Ends the connection before the end of the response. What has been written is sent first, as far as the
 * client reads it within 1 s; with `isImmediate`, it is not waited for.
 *
 * If a response has neither chunked encoding nor a length, the client takes the end of the connection for the
 * end of the response (RFC 9112, 6.3: HTTP/1.0, or `Connection: close` alone). Such a connection is reset.
 */
export function cutOffResponse(response: Response, transport: Transport, isImmediate: boolean): void {
  if (transport.destroyed) return
  if (transport.close !== undefined) {
    // nghttp2 sends pending data before the reset.
    transport.close(constants.NGHTTP2_INTERNAL_ERROR)
  } else if (response.socket === null) {
    // It waits behind responses to other requests on the connection. End the connection when its turn comes.
    destroySocketAtItsTurn(response)
    response.destroy()
  } else if (isImmediate || !isSocket(transport)) {
    response.destroy()
    transport.destroy?.()
  } else if (looksComplete(response)) {
    transport.write('', () => reset(transport))
    destroyAfterFlush(transport)
  } else {
    transport.destroySoon()
    destroyAfterFlush(transport)
  }
}

/**
 * Ends the connection of a response that is destroyed before its end: frameworks destroy it if the stream
 * that they send fails. If the client would take the end of the connection for the end of the response, as in
 * HTTP/1.0 (the default of nginx), the connection is reset.
 */
export function endConnectionWhenDestroyed(response: ServerResponse, transport: Transport): void {
  if (!isSocket(transport)) return
  const { destroy } = response
  overrideMethod(response, 'destroy', (error?: Error) => {
    const { socket } = response
    if (socket === null) destroySocketAtItsTurn(response)
    else if (!response.writableEnded && looksComplete(response)) reset(socket)
    return destroy.call(response, error)
  })
}

/** Since Node 24, a response that was destroyed before its turn blocks the connection from its turn on. */
function destroySocketAtItsTurn(response: Response): void {
  response.once('socket', (socket: Socket) => socket.destroy())
}

function isSocket(transport: Transport): transport is Transport & Socket {
  return 'destroySoon' in transport
}

/** Whether the client would take the end of the connection for the end of the response. */
function looksComplete(response: Response): boolean {
  return response.headersSent && response.chunkedEncoding !== true && !response.hasHeader('content-length')
}

function reset(socket: Socket): void {
  // A TLS socket cannot be reset, but the TCP handle below it can. Neither property is documented.
  const tcp = (socket as { _handle?: { _parent?: { reset?(done: () => void): void } } })._handle?._parent
  if (tcp?.reset === undefined) {
    resetOrDestroy(socket)
  } else {
    tcp.reset(() => {})
    socket.destroy()
  }
}

function resetOrDestroy(socket: Socket): void {
  try {
    socket.resetAndDestroy()
  } catch {
    // A Unix socket cannot be reset.
    socket.destroy()
  }
}

function destroyAfterFlush(socket: Socket): void {
  const timer = setTimeout(() => socket.destroy(), flushMs)
  socket.once('close', () => clearTimeout(timer))
}
