/** What ends with a connection, and how to end it so that the client sees that its answer is not whole. */

import type { ServerResponse } from 'node:http'
import { constants } from 'node:http2'
import type { Socket } from 'node:net'
import { overrideMethod } from '../subprocess/override-method.js'

/** A socket, or a stream of HTTP/2. */
export interface Transport {
  readonly destroyed: boolean
  /** Of a stream of HTTP/2: whether the client or its connection has ended it. */
  readonly aborted?: boolean
  /** Whether it has ended, in whatever way. */
  readonly closed?: boolean
  /** Of a stream of HTTP/2. */
  readonly session?: { readonly socket?: { once(event: 'close', listener: () => void): unknown } }
  /** Not there in a request that is injected for a test. */
  destroy?(): void
  /** A stream of HTTP/2 is closed with a code: destroyed, it would look complete to the client. */
  close?(code: number): void
  once(event: 'close' | 'aborted', listener: () => void): unknown
}

/**
 * Whether it has ended. A stream of HTTP/2 may be closed and never be destroyed: seen when a client destroys its session while a
 * complete answer is sent. No event tells of that.
 */
export function isGone({ destroyed, aborted, closed }: Transport): boolean {
  return destroyed || aborted === true || closed === true
}

/** Calls back when it is gone, perhaps more than once. */
export function onGone(carrier: Transport, callback: () => void): void {
  carrier.once('close', callback)
  if (carrier.close === undefined) return
  // Where something is still to be sent, a stream may never close by itself, and hold its session and socket.
  const end = (): void => {
    callback()
    setImmediate(() => carrier.destroy?.())
  }
  carrier.once('aborted', end)
  const ends = endsOf(carrier.session)
  ends.add(end)
  carrier.once('close', () => ends.delete(end))
}

/** Of the streams of each session, for one listener. */
const endsBySession = new WeakMap<object, Set<() => void>>()

function endsOf(session: Transport['session']): Set<() => void> {
  const known = session && endsBySession.get(session)
  if (known !== undefined) return known
  const ends = new Set<() => void>()
  if (session === undefined) return ends
  endsBySession.set(session, ends)
  session.socket?.once('close', () => {
    for (const end of ends) end()
  })
  return ends
}

/** What `cutOff` needs of a response. */
export type Cuttable = Pick<ServerResponse, 'destroy' | 'headersSent' | 'hasHeader' | 'once' | 'socket'> & {
  readonly chunkedEncoding?: boolean
}

// How long a client may take to read what was written before the cut, in ms.
const flushedWithinMs = 1_000

/**
 * Ends the connection before the end of the response. What was written until now is sent first, as far as the client
 * reads it. `isFinal` waits for nothing.
 *
 * The end of a connection looks like the end of an answer that has neither chunks nor a length (RFC 9112, 6.3: HTTP/1.0, or
 * `Connection: close` alone). There the connection is reset.
 */
export function cutOff(response: Cuttable, carrier: Transport, isFinal: boolean): void {
  if (carrier.destroyed) return
  if (carrier.close !== undefined) {
    // nghttp2 sends what is waiting before the reset.
    carrier.close(constants.NGHTTP2_INTERNAL_ERROR)
  } else if (response.socket === null) {
    // Its turn on the connection has not come, and will be its end: what is before it belongs to other requests.
    endAtItsTurn(response)
    response.destroy()
  } else if (isFinal || !isSocket(carrier)) {
    response.destroy()
    carrier.destroy?.()
  } else if (looksWhole(response)) {
    carrier.write('', () => reset(carrier))
    destroyLater(carrier)
  } else {
    carrier.destroySoon()
    destroyLater(carrier)
  }
}

/**
 * Has the connection end with a response that somebody destroys before its end: a framework does so when the stream fails that it
 * sends. Where the end of the connection would look like the end of the response, as with HTTP/1.0 (nginx uses it by default),
 * the connection is reset.
 */
export function endConnectionWhenDestroyed(response: ServerResponse, carrier: Transport): void {
  if (!isSocket(carrier)) return
  const { destroy } = response
  overrideMethod(response, 'destroy', (error?: Error) => {
    const { socket } = response
    if (socket === null) endAtItsTurn(response)
    else if (!response.writableEnded && looksWhole(response)) reset(socket)
    return destroy.call(response, error)
  })
}

/** Since Node 24, a response that is destroyed while it waits behind another one blocks the connection for ever when its turn comes. */
function endAtItsTurn(response: Cuttable): void {
  response.once('socket', (socket: Socket) => socket.destroy())
}

function isSocket(carrier: Transport): carrier is Transport & Socket {
  return 'destroySoon' in carrier
}

function looksWhole(response: Cuttable): boolean {
  return response.headersSent && response.chunkedEncoding !== true && !response.hasHeader('content-length')
}

function reset(socket: Socket): void {
  // Of TLS, it is the socket below that can be reset. Neither is documented.
  const below = (socket as { _handle?: { _parent?: { reset?(done: () => void): void } } })._handle?._parent
  if (below?.reset === undefined) {
    resetIfPossible(socket)
  } else {
    below.reset(() => {})
    socket.destroy()
  }
}

function resetIfPossible(socket: Socket): void {
  try {
    socket.resetAndDestroy()
  } catch {
    // A Unix socket has no reset.
    socket.destroy()
  }
}

function destroyLater(socket: Socket): void {
  const timer = setTimeout(() => socket.destroy(), flushedWithinMs)
  socket.once('close', () => clearTimeout(timer))
}
