/** What the guard needs to know of a web framework. */

import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Logger } from '../log.js'
import type { ResolvedRouteOptions } from '../options.js'
import type { ResponseLock } from './response-lock.js'

/** `Responder` is what the framework answers a request by: Fastify's reply, or Express' `next`. */
export interface Framework<Request, Responder> {
  /** Node's request. */
  rawOf(request: Request): IncomingMessage
  /** The object that has the guard's property of a request. A map would take a third of a request's time. */
  holderOf(raw: IncomingMessage): object
  requestOf(raw: IncomingMessage, responder: Responder): Request
  /** The options that the request started with. */
  optionsOf(request: Request): ResolvedRouteOptions
  logOf(request: Request): Logger
  /** Method and path of the route as it was declared; undefined if there is none. */
  routeOf(request: Request): string | undefined
  /** Whether an error can still be the answer. */
  canAnswer(responder: Responder, response: ServerResponse): boolean
  /** Answers with an error, through the framework's own error handler. */
  sendError(responder: Responder, lock: ResponseLock, error: Error): void
}
