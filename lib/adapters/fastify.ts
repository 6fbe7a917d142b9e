/** The Fastify plugin: `req.spawn()`, deadlines for every route, and shutdown. */

import type { FastifyContextConfig, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { SubprocessError, SubprocessOptionError } from '../errors.js'
import { Guard } from '../guard/guard.js'
import type { Scope } from '../guard/scope.js'
import {
  type ResolvedRouteOptions,
  type RouteGuardOptions,
  resolveOptions,
  resolveRouteOptions,
  type SubprocessGuardOptions
} from '../options.js'
import { captureEvents } from '../subprocess/capture.js'
import type { Subprocess } from '../subprocess/subprocess.js'
import { ExchangeRegistry, type Framework } from './exchange-registry.js'
import { replyInPlaceOf } from './fastify-reply.js'
import { removeBodyHeaders } from './taken-response.js'

declare module 'fastify' {
  interface FastifyInstance {
    /** The guard of this context. */
    subprocessGuard: Guard
  }
  interface FastifyRequest {
    /** The subprocesses of this request. Opened when it is first asked for. */
    readonly subprocesses: Scope
    /** Starts a command that ends with this request, as `child_process.spawn` does. See `Scope.spawn`. */
    spawn: Scope['spawn']
  }
  interface FastifyContextConfig {
    /** Options of this route, or `false`: no deadline and no subprocesses. */
    subprocessGuard?: RouteGuardOptions | false
  }
}

// What Fastify itself puts into the options of a plugin.
const registrationOptions = ['prefix', 'logLevel', 'logSerializers']

const framework = {
  rawOf: ({ raw }) => raw,
  holderOf: (raw) => raw,
  requestOf: (_raw, { request }) => request,
  logOf: (request) => request.log,
  routeOf: ({ method, routeOptions: { url } }) => (url === undefined ? undefined : `${method} ${url}`),
  canAnswer: (reply, { headersSent }) => !reply.sent && !headersSent,
  answer(reply, taken, error) {
    taken.removeBodyHeaders()
    const own = replyInPlaceOf(reply, taken)
    const { raw } = reply.request
    // The client may still be sending its body. Nobody will read it, and the connection is of no more use.
    const isOfNoMoreUse = !raw.complete || !reply.server.server.listening
    if (isOfNoMoreUse && raw.httpVersionMajor === 1) own.header('connection', 'close')
    taken.run(() => own.send(error))
  }
} satisfies Omit<Framework<FastifyRequest, FastifyReply>, 'optionsOf'>

async function subprocessGuard(app: FastifyInstance, given: SubprocessGuardOptions): Promise<void> {
  const options = resolveOptions(withoutRegistrationOptions(given))
  if (app.hasDecorator('subprocessGuard')) {
    const wayOut =
      'this context has a guard already: set what differs in config.subprocessGuard of the routes'
    throw new SubprocessOptionError('register(subprocessGuard)', 'used twice', wayOut)
  }
  const guard = await Guard.start(options, app.log)
  const resolvedRoutes = new WeakMap<object, ResolvedRouteOptions | false>()
  const optionsOfRequest = ({ routeOptions }: FastifyRequest): ResolvedRouteOptions | false =>
    optionsOf(overrideIn(routeOptions.config))
  const exchanges = new ExchangeRegistry(guard, {
    ...framework,
    optionsOf: (request) => optionsOfRequest(request) || options
  })
  let drainTimer: NodeJS.Timeout | undefined
  let drainedAt: number | undefined

  function optionsOf(override: RouteGuardOptions | false | undefined): ResolvedRouteOptions | false {
    if (override === undefined) return options
    if (typeof override !== 'object') return resolveRouteOptions(override, options)
    let resolved = resolvedRoutes.get(override)
    if (resolved === undefined) {
      resolved = resolveRouteOptions(override, options)
      resolvedRoutes.set(override, resolved)
    }
    return resolved
  }

  app.decorate('subprocessGuard', guard)
  app.decorateRequest('subprocesses', {
    getter() {
      return exchanges.scopeOf(this)
    }
  })
  app.decorateRequest('spawn', spawnInRequest)

  // To ask for the options of a route costs each request. Those that were declared before the guard was loaded may have some.
  let mayOverride = app.printRoutes() !== '(empty tree)'
  app.addHook('onRoute', ({ config }) => {
    // A mistake in a route's options is an error where the route is declared.
    const override = overrideIn(config)
    optionsOf(override)
    if (override !== undefined) mayOverride = true
  })
  app.addHook('onRequest', (request, reply, done) => {
    const resolved = mayOverride ? optionsOfRequest(request) : options
    if (resolved === false) return done()
    exchanges.arrive(request.raw, reply.raw, reply, resolved)
    if (guard.captures) captureEvents(request.raw, (emit) => exchanges.inCourseOf(request, emit))
    exchanges.inCourseOf(request, done)
  })
  // The arrival of a body is the course of the connection: what follows it is put back into that of the request.
  if (options.capture)
    app.addHook('preValidation', (request, _reply, done) => exchanges.inCourseOf(request, done))
  app.addHook('onError', (request, reply, error, done) => {
    exchanges.fail(request)
    // A plugin may have said how the stream is encoded that has failed.
    if (error instanceof SubprocessError && !reply.raw.headersSent) {
      removeBodyHeaders(reply)
      removeBodyHeaders(reply.raw)
    }
    done()
  })
  // `onClose` waits for the requests in flight, and a handler that hangs would block it for ever.
  app.addHook('preClose', (done) => {
    drainedAt = performance.now() + options.drainMs
    drainTimer = setTimeout(() => {
      guard.refuse()
      exchanges.cutAllShort('shutdown')
    }, options.drainMs)
    done()
  })
  app.addHook('onClose', async () => {
    // Fastify does not wait for requests by inject(), and comes here early on a host with two addresses (fastify#7043).
    await exchanges.drained((drainedAt ?? 0) - performance.now())
    clearTimeout(drainTimer)
    guard.refuse()
    exchanges.cutAllShort('shutdown')
    await guard.close()
    exchanges.clear()
  })
}

function spawnInRequest(this: FastifyRequest, ...args: Parameters<Scope['spawn']>): Subprocess {
  return this.subprocesses.spawn(...args)
}

function overrideIn(config: FastifyContextConfig | undefined): RouteGuardOptions | false | undefined {
  return config !== undefined && Object.hasOwn(config, 'subprocessGuard') ? config.subprocessGuard : undefined
}

function withoutRegistrationOptions(given: SubprocessGuardOptions): SubprocessGuardOptions {
  const own = Object.entries(given).filter(([name]) => !registrationOptions.includes(name))
  return Object.fromEntries(own)
}

export default fp(subprocessGuard, { fastify: '5.x || 6.x', name: 'fastify-subprocess-guard' })
