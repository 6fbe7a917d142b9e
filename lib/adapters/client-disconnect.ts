/**
 * Notices a client that leaves: its connection or its HTTP/2 stream ends. Two cases would hide that end from
 * Node: an upload that is not read (`read-ahead.ts`), and a client that vanishes silently
 * (`tcp-keep-alive.ts`).
 */

import type { Transport } from './transport.js'

/**
 * Whether the connection or stream has ended, whichever side ended it. An HTTP/2 stream can be closed and
 * never be destroyed: this happened when a client destroyed its session while a complete answer was being
 * sent. No event reports it.
 */
export function isDisconnected({ destroyed, aborted, closed }: Transport): boolean {
  return destroyed || aborted === true || closed === true
}

/** Calls back when the connection or stream has ended, possibly more than once. */
export function onDisconnect(transport: Transport, callback: () => void): void {
  transport.once('close', callback)
  if (transport.close === undefined) return
  // A stream with unsent data may never close by itself, and would keep its session and socket alive.
  const end = (): void => {
    callback()
    setImmediate(() => transport.destroy?.())
  }
  transport.once('aborted', end)
  const streamEnds = streamEndsOf(transport.session)
  streamEnds.add(end)
  transport.once('close', () => streamEnds.delete(end))
}

/** By session: what to call when its socket closes. One listener serves all streams of the session. */
const streamEndsBySession = new WeakMap<object, Set<() => void>>()

function streamEndsOf(session: Transport['session']): Set<() => void> {
  const known = session && streamEndsBySession.get(session)
  if (known !== undefined) return known
  const ends = new Set<() => void>()
  if (session === undefined) return ends
  streamEndsBySession.set(session, ends)
  session.socket?.once('close', () => {
    for (const end of ends) end()
  })
  return ends
}
