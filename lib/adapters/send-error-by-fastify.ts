/** Answers a request with an error in place of its Fastify handler: by a reply of its own. */

import type { FastifyBaseLogger, FastifyReply } from 'fastify'
import { removeBodyHeaders } from './body-headers.js'
import type { ResponseLock } from './response-lock.js'

type ReplyClass = new (raw: unknown, request: unknown, log: unknown) => FastifyReply
type Properties = Record<PropertyKey, unknown>

const headersName = 'fastify.reply.headers'
const startTimeName = 'fastify.reply.startTime'

/** `reply` is the handler's. */
export function sendErrorByFastify(reply: FastifyReply, lock: ResponseLock, error: Error): void {
  lock.removeBodyHeaders()
  const { raw } = reply.request
  const guardReply = replaceReply(reply, lock)
  // The rest of a body that the client still sends will not be read, so its connection cannot be reused. A
  // server that is closing accepts no further request.
  const isLastAnswer = !raw.complete || !reply.server.server.listening
  if (isLastAnswer && raw.httpVersionMajor === 1) guardReply.header('connection', 'close')
  lock.run(() => guardReply.send(error))
}

/**
 * Creates a reply with what plugins have added to the handler's and with its headers, but without its state,
 * such as an error handler that is running, or its hooks. Closes the handler's reply like `hijack()`: what
 * the handler sends has no effect, and what Fastify logs about that is only information.
 */
function replaceReply(reply: FastifyReply, lock: ResponseLock): FastifyReply {
  const { request, log } = reply
  const fresh = new (reply.constructor as ReplyClass)(lock.unlockedView(), request, log) as FastifyReply &
    Properties
  for (const key of Reflect.ownKeys(reply)) {
    const name = typeof key === 'symbol' ? key.description : key
    const value = (reply as unknown as Properties)[key]
    if (name === headersName) (fresh as Properties)[key] = { ...(value as object) }
    else if (name === startTimeName || !isStateOfFastify(key)) (fresh as Properties)[key] = value
  }
  removeBodyHeaders(fresh)
  reply.hijack()
  reply.log = withInfoOnly(log)
  return fresh
}

/** Whether Fastify itself sets this property of a reply. */
function isStateOfFastify(key: string | symbol): boolean {
  if (typeof key === 'string') return key === 'raw' || key === 'request' || key === 'log'
  return key.description?.startsWith('fastify.reply') ?? false
}

/** Logs errors and warnings as information: the request of a handler that fails late has been answered. */
function withInfoOnly(log: FastifyBaseLogger): FastifyBaseLogger {
  const info = log.info.bind(log) as FastifyBaseLogger['info']
  return Object.create(log, { error: { value: info }, warn: { value: info } }) as FastifyBaseLogger
}
