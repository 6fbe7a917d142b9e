/** A second reply of Fastify's for one request: the guard's own, in place of the handler's. */

import type { FastifyBaseLogger, FastifyReply } from 'fastify'
import { removeBodyHeaders, type TakenResponse } from './taken-response.js'

type ReplyClass = new (raw: unknown, request: unknown, log: unknown) => FastifyReply
type Loose = Record<PropertyKey, unknown>

const headersName = 'fastify.reply.headers'
const startTimeName = 'fastify.reply.startTime'

/**
 * Makes a reply that has all that plugins have put into the handler's, and its headers, but none of what has become of it: not its error
 * handler that is at work, nor its hooks. The handler's own is closed as by `hijack()`: nothing that is sent by it arrives,
 * and what Fastify has to say about that is no more than information.
 */
export function replyInPlaceOf(reply: FastifyReply, taken: TakenResponse): FastifyReply {
  const { request, log } = reply
  const fresh = new (reply.constructor as ReplyClass)(taken.view(), request, log) as FastifyReply & Loose
  for (const key of Reflect.ownKeys(reply)) {
    const name = typeof key === 'symbol' ? key.description : key
    const value = (reply as unknown as Loose)[key]
    if (name === headersName) (fresh as Loose)[key] = { ...(value as object) }
    else if (name === startTimeName || !isStateOfFastify(key)) (fresh as Loose)[key] = value
  }
  removeBodyHeaders(fresh)
  reply.hijack()
  reply.log = informing(log)
  return fresh
}

/** What Fastify notes on a reply itself. */
function isStateOfFastify(key: string | symbol): boolean {
  if (typeof key === 'string') return key === 'raw' || key === 'request' || key === 'log'
  return key.description?.startsWith('fastify.reply') ?? false
}

/** A handler that fails or answers late is no error of the server's: its request has had its answer. */
function informing(log: FastifyBaseLogger): FastifyBaseLogger {
  const info = log.info.bind(log) as FastifyBaseLogger['info']
  return Object.create(log, { error: { value: info }, warn: { value: info } }) as FastifyBaseLogger
}
