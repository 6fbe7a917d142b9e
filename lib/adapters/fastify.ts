/** The Fastify plugin: `req.spawn()`, a deadline for every request, and shutdown. */

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { SubprocessError, SubprocessOptionError } from '../errors.js'
import { Guard } from '../guard/guard.js'
import type { Scope } from '../guard/scope.js'
import { type RouteGuardOptions, resolveOptions, type SubprocessGuardOptions } from '../options.js'
import { captureEvents } from '../subprocess/capture.js'
import type { Subprocess } from '../subprocess/subprocess.js'
import { removeBodyHeaders } from './body-headers.js'
import { ExchangeRegistry } from './exchange-registry.js'
import type { Framework } from './framework.js'
import { FastifyRouteOptions } from './route-options-cache.js'
import { sendErrorByFastify } from './send-error-by-fastify.js'

declare module 'fastify' {
  interface FastifyInstance {
    /** The guard of this context. */
    subprocessGuard: Guard
  }
  interface FastifyRequest {
    /** The scope of this request, opened on first use. */
    readonly subprocesses: Scope
    /** Starts a command that ends with this request, like `child_process.spawn`. See `Scope.spawn`. */
    spawn: Scope['spawn']
  }
  interface FastifyContextConfig {
    /** Options of this route, or `false` for no deadline and no subprocesses. */
    subprocessGuard?: RouteGuardOptions | false
  }
}

async function subprocessGuard(app: FastifyInstance, given: SubprocessGuardOptions): Promise<void> {
  const options = resolveOptions(withoutRegistrationOptions(given))
  if (app.hasDecorator('subprocessGuard')) {
    const wayOut = 'this context has a guard already: set options of a route in its config.subprocessGuard'
    throw new SubprocessOptionError('register(subprocessGuard)', 'used twice', wayOut)
  }
  const guard = await Guard.start(options, app.log)
  const routes = new FastifyRouteOptions(options, app.printRoutes() !== '(empty tree)')
  const exchanges = new ExchangeRegistry(guard, {
    ...framework,
    optionsOf: (request) => routes.of(request)
  })

  app.decorate('subprocessGuard', guard)
  app.decorateRequest('subprocesses', {
    getter() {
      return exchanges.scopeOf(this)
    }
  })
  app.decorateRequest('spawn', spawnInRequest)

  app.addHook('onRoute', ({ config }) => routes.add(config))

  app.addHook('onRequest', (request, reply, done) => {
    const routeOptions = routes.onRequest(request)
    if (routeOptions === false) return done()
    exchanges.start(request.raw, reply.raw, reply, routeOptions)
    if (guard.captures) captureEvents(request.raw, (emit) => exchanges.runInContextOf(request, emit))
    exchanges.runInContextOf(request, done)
  })

  // A parsed body leaves Fastify in the async context of the connection. Return to that of the request.
  if (options.capture) {
    app.addHook('preValidation', (request, _reply, done) => exchanges.runInContextOf(request, done))
  }

  app.addHook('onError', (request, reply, error, done) => {
    exchanges.handlerFailed(request)
    // A plugin may have set headers for the body that has failed, such as its encoding.
    if (error instanceof SubprocessError && !reply.raw.headersSent) {
      removeBodyHeaders(reply)
      removeBodyHeaders(reply.raw)
    }
    done()
  })

  let drainTimer: NodeJS.Timeout | undefined
  let drainUntil: number | undefined
  // Not in `onClose`: that waits for the requests in flight, so that a handler that hangs would block the
  // shutdown forever.
  app.addHook('preClose', (done) => {
    drainUntil = performance.now() + options.drainMs
    drainTimer = setTimeout(() => {
      guard.refuseScopes()
      exchanges.cutShortAll('shutdown')
    }, options.drainMs)
    done()
  })

  app.addHook('onClose', async () => {
    // Fastify does not wait for requests by inject(), and on a host with two addresses it runs this hook too
    // early (fastify#7043).
    await exchanges.drain((drainUntil ?? 0) - performance.now())
    clearTimeout(drainTimer)
    guard.refuseScopes()
    exchanges.cutShortAll('shutdown')
    await guard.close()
    exchanges.clear()
  })
}

// Fastify itself adds these to the options of a plugin.
const registrationOptions = ['prefix', 'logLevel', 'logSerializers']

function withoutRegistrationOptions(given: SubprocessGuardOptions): SubprocessGuardOptions {
  const own = Object.entries(given).filter(([name]) => !registrationOptions.includes(name))
  return Object.fromEntries(own)
}

const framework = {
  rawOf: ({ raw }) => raw,
  holderOf: (raw) => raw,
  requestOf: (_raw, { request }) => request,
  logOf: (request) => request.log,
  routeOf: ({ method, routeOptions: { url } }) => (url === undefined ? undefined : `${method} ${url}`),
  canAnswer: (reply, { headersSent }) => !reply.sent && !headersSent,
  sendError: sendErrorByFastify
} satisfies Omit<Framework<FastifyRequest, FastifyReply>, 'optionsOf'>

function spawnInRequest(this: FastifyRequest, ...args: Parameters<Scope['spawn']>): Subprocess {
  return this.subprocesses.spawn(...args)
}

export default fp(subprocessGuard, { fastify: '5.x || 6.x', name: 'fastify-subprocess-guard' })
