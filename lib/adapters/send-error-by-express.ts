/** Answers a request with an error in place of its Express handler: by `next(error)`. */

import type { Socket } from 'node:net'
import type { ResponseLock } from './response-lock.js'

/** `next` is that of the guard's middleware. */
export function sendErrorByExpress(next: (error: Error) => void, lock: ResponseLock, error: Error): void {
  const { response } = lock
  const { req } = response
  lock.removeBodyHeaders()
  Object.defineProperty(req, 'socket', { configurable: true, value: withoutEnd(req.socket) })
  lock.run(() => {
    // The rest of a body that the client still sends will not be read, so its connection cannot be reused.
    if (!req.complete && req.httpVersionMajor === 1) response.setHeader('connection', 'close')
    next(error)
  })
}

const endingMethods = new Set<string | symbol>(['destroy', 'destroySoon', 'end', 'resetAndDestroy'])

/**
 * A view of the socket through which a handler cannot end the connection. If a handler fails after the
 * headers are sent, Express ends its connection, which may serve another request by then.
 */
function withoutEnd(socket: Socket): Socket {
  return new Proxy(socket, {
    get(socket, name, view) {
      if (endingMethods.has(name)) return () => view
      const value = Reflect.get(socket, name, socket)
      return typeof value === 'function' ? value.bind(socket) : value
    },
    set: (socket, name, value) => Reflect.set(socket, name, value, socket)
  })
}
