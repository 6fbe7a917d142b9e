/** Routes for the handlers of the matrix, as users of each framework write them. */

import type { IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Limits } from 'fastify-subprocess-guard'
import subprocessGuard from 'fastify-subprocess-guard/express'
import { ExpressServed } from '../express-server.js'
import type { GuardedRequest, Served } from '../served.js'
import type { Served as FastifyServed } from '../server.js'
import { answered, type Reply } from './handler-context.js'
import type { Hook } from './hooks.js'

export interface Route {
  readonly path: string
  readonly limits: Limits | undefined
  /** Called with each error line. */
  readonly onErrorLine: (text: string) => void
  /** Called with the request id of Fastify, which identifies its log lines. */
  readonly onRequest: (id: string) => void
  /** Called when a hook begins to delay its response. */
  readonly onSlow: () => void
  /** Runs something so that its errors are assigned to this route. */
  readonly run: (act: () => void) => void
  handle(request: GuardedRequest, reply: Reply): Promise<unknown>
}

export function declareRoutes(served: Served, hook: Hook, routes: readonly Route[]): void {
  if (served instanceof ExpressServed) declareInExpress(served, hook, routes)
  else declareInFastify(served as FastifyServed, hook, routes)
}

function tellOf(routes: readonly Route[]) {
  return ({ url }: IncomingMessage): void => routes.find(({ path }) => path === url)?.onSlow()
}

function declareInFastify({ app }: FastifyServed, hook: Hook, routes: readonly Route[]): void {
  app.register(async (context) => {
    await hook.fastify(context, tellOf(routes))
    for (const { path, limits, handle, onRequest, run } of routes) {
      const config = limits === undefined ? {} : { subprocessGuard: { limits } }
      const preHandler = (_request: FastifyRequest, _reply: FastifyReply, done: () => void): void => run(done)
      context.get(path, { config, preHandler }, async (request, reply) => {
        onRequest(request.id)
        const answer = await handle(request, {
          raw: reply.raw,
          send: (text) => void reply.send(text),
          hijack: () => void reply.hijack(),
          log: (message) => request.log.error(message)
        })
        return answer === answered ? reply : answer
      })
    }
  })
}

function declareInExpress({ app }: ExpressServed, hook: Hook, routes: readonly Route[]): void {
  // In this mode, the default error handler prints nothing.
  app.set('env', 'test')
  hook.express?.(app)
  for (const { path, limits, handle, onErrorLine, run } of routes) {
    if (limits !== undefined) app.get(path, subprocessGuard.route({ limits }))
    app.get(path, (_req, _res, next) => run(next))
    app.get(path, (req, res, next) => {
      // As pino-http does.
      const error = (_fields: object, message: string): void => onErrorLine(message)
      Object.assign(req, { log: { info() {}, warn() {}, error } })
      const request = {
        raw: req,
        get subprocesses() {
          return req.subprocesses
        },
        spawn: req.spawn
      }
      const reply = { raw: res, send: (text: string) => void res.send(text), hijack() {}, log: onErrorLine }
      // Express 4 does not await a promise.
      handle(request, reply)
        .then((answer) => {
          if (answer instanceof Readable) answer.pipe(res)
          else if (answer !== answered) res.send(answer)
        })
        .catch(next)
    })
  }
  hook.expressLast?.(app, tellOf(routes))
}
