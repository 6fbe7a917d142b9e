/** The Express middleware: `req.spawn()`, deadlines, and shutdown. It works in front of any `node:http` handler. */

import type { IncomingMessage, ServerResponse } from 'node:http'
import { SubprocessOptionError } from '../errors.js'
import { Guard } from '../guard/guard.js'
import type { Scope } from '../guard/scope.js'
import { refuseInPlaceOfKeeper } from '../link/refuse-as-keeper.js'
import { defaultLogger, type Logger } from '../log.js'
import {
  type ResolvedOptions,
  type RouteGuardOptions,
  resolveOptions,
  resolveRouteOptions,
  type SubprocessGuardOptions
} from '../options.js'
import { captureEvents } from '../subprocess/capture.js'
import type { Subprocess } from '../subprocess/subprocess.js'
import { ownOf } from '../validate-option.js'
import { answerNotedOn, ExchangeRegistry, errorOfUnguarded, type Framework } from './exchange-registry.js'
import { withoutEnd } from './taken-response.js'

refuseInPlaceOfKeeper()

declare global {
  namespace Express {
    interface Request {
      /** The subprocesses of this request. Opened when it is first asked for. */
      readonly subprocesses: Scope
      /** Starts a command that ends with this request, as `child_process.spawn` does. See `Scope.spawn`. */
      spawn: Scope['spawn']
    }
  }
}

/** Options of the middleware. */
export interface ExpressGuardOptions extends SubprocessGuardOptions {
  /**
   * Where the guard's lines go, unless a request has a `log` of its own, as with pino-http. Default: JSON lines on
   * standard error, for warnings and errors.
   */
  logger?: Logger
}

type Next = (error?: unknown) => void

/** What Express and its like call for each request. */
export type RequestHandler = (req: IncomingMessage, res: ServerResponse, next: Next) => void

/** The middleware, and its shutdown. */
export interface ExpressGuard extends RequestHandler {
  /** Resolves with the guard when its keeper is ready; until then requests wait. Rejects when it cannot start. */
  readonly ready: Promise<Guard>
  /**
   * Lets requests in flight go on for `drain`, then answers them with `ERR_SUBPROCESS_SHUTDOWN`, and resolves when
   * all processes are gone. Close the server before, so that no more requests come.
   */
  close(): Promise<void>
}

/** A request that has come through the middleware, for servers without Express, whose types do not know of it. */
export interface GuardedRequest extends IncomingMessage {
  /** The subprocesses of this request. Opened when it is first asked for. */
  readonly subprocesses: Scope
  /** Starts a command that ends with this request, as `child_process.spawn` does. See `Scope.spawn`. */
  spawn: Scope['spawn']
}

/** What Express adds to a request, and pino-http. */
interface Request extends IncomingMessage {
  readonly app?: { readonly request?: object }
  readonly baseUrl?: string
  readonly route?: { readonly path?: unknown }
  readonly log?: Logger
}

type ExpressExchanges = ExchangeRegistry<Request, Passage>

/** A request has come through a guard, and goes on by `next`. */
class Passage {
  readonly exchanges: ExpressExchanges
  readonly next: Next

  constructor(exchanges: ExpressExchanges, next: Next) {
    this.exchanges = exchanges
    this.next = next
  }
}

// One for all guards, so that a request tells through which it has come.
const passageKey = Symbol('subprocess-guard')

function exchangesOf(request: Request): ExpressExchanges | undefined {
  return (answerNotedOn(holderOf(request), passageKey) as Passage | undefined)?.exchanges
}

/**
 * Not the request itself: Express sets the prototype of each, and before Node 24 what is added to an object after that gives it a
 * shape of its own, which makes all access to it slow. Two notes took 15 % of a request.
 */
function holderOf(request: IncomingMessage): object {
  return (request as { _readableState?: object })._readableState ?? request
}

/**
 * Middleware that gives each request `req.spawn()`, `req.subprocesses` and a deadline. Use it before all others. At
 * the deadline, before the headers are sent, the error goes to `next(error)`, and with it to your error handler.
 *
 * @throws {TypeError} for a wrong option.
 */
export function subprocessGuard(given: ExpressGuardOptions = {}): ExpressGuard {
  const { logger = defaultLogger, ...rest } = ownOf(given)
  const options = resolveOptions(rest)
  const ready = Guard.start(options, logger)
  // A keeper that does not start is told to each request, and to whoever asks.
  ready.catch(() => {})
  let exchanges: ExpressExchanges | undefined
  const started = ready.then((guard) => {
    exchanges = new ExchangeRegistry(guard, frameworkOf(logger, options), passageKey)
    return exchanges
  })
  started.catch(() => {})

  function enter(exchanges: ExpressExchanges, req: Request, res: ServerResponse, next: Next): void {
    if (exchangesOf(req) !== undefined) {
      const wayOut =
        'the request has come through one already: use it once, and subprocessGuard.route() after it'
      next(new SubprocessOptionError('subprocessGuard()', 'used twice', wayOut))
      return
    }
    decorate(req)
    exchanges.arrive(req, res, new Passage(exchanges, next), options)
    if (exchanges.guard.captures) captureEvents(req, (emit) => exchanges.inCourseOf(req, emit))
    exchanges.inCourseOf(req, next)
  }

  const handler: RequestHandler = (req, res, next) => {
    if (exchanges !== undefined) enter(exchanges, req, res, next)
    else started.then((exchanges) => enter(exchanges, req, res, next), next)
  }
  async function end(): Promise<void> {
    const exchanges = await started.catch(() => undefined)
    // A keeper that did not start has nothing to end.
    if (exchanges === undefined) return
    await exchanges.drained(options.drainMs)
    exchanges.guard.refuse()
    exchanges.cutAllShort('shutdown')
    await exchanges.guard.close()
    exchanges.clear()
  }

  let ending: Promise<void> | undefined
  const close = (): Promise<void> => {
    ending ??= end()
    return ending
  }
  return Object.assign(handler, { ready, close })
}

/**
 * Middleware for one route, after `subprocessGuard()`: its own `timeout`, `grace`, `killSignal`, `firstSignalTo` and `privateTmp`, or
 * `false` for no deadline and no subprocesses. The deadline counts from the arrival of the request all the same. Put it before
 * whatever asks for the request's subprocesses.
 *
 * @throws {TypeError} for a wrong option.
 */
subprocessGuard.route = (override: RouteGuardOptions | false): RequestHandler => {
  const where = 'subprocessGuard.route()'
  // A mistake is an error where the route is declared.
  resolveRouteOptions(override, resolveOptions({}), where)
  return (req, _res, next) => {
    const exchanges = exchangesOf(req)
    if (exchanges === undefined) {
      const wayOut = 'the request has not come through subprocessGuard(): use that before'
      next(new SubprocessOptionError(where, override, wayOut))
      return
    }
    exchanges.override(req, override, where)
    next()
  }
}

function frameworkOf(logger: Logger, options: ResolvedOptions): Framework<Request, Passage> {
  return {
    rawOf: (request) => request,
    holderOf,
    requestOf: (raw) => raw,
    optionsOf: () => options,
    logOf: (request) => request.log ?? logger,
    routeOf: ({ method, baseUrl = '', route }) =>
      route === undefined ? undefined : `${method} ${baseUrl}${route.path}`,
    canAnswer: (_passage, response) => !response.headersSent,
    answer({ next }, taken, error) {
      const { req } = taken.raw
      taken.removeBodyHeaders()
      Object.defineProperty(req, 'socket', { configurable: true, value: withoutEnd(req.socket) })
      taken.run(() => {
        // The client may still be sending its body. Nobody will read it, and the connection is of no more use.
        if (!req.complete && req.httpVersionMajor === 1) taken.raw.setHeader('connection', 'close')
        next(error)
      })
    }
  }
}

const decoration: PropertyDescriptorMap & ThisType<Request> = {
  subprocesses: {
    configurable: true,
    get(): Scope {
      const exchanges = exchangesOf(this)
      if (exchanges === undefined) throw errorOfUnguarded()
      return exchanges.scopeOf(this)
    }
  },
  spawn: {
    configurable: true,
    writable: true,
    value(this: { subprocesses: Scope }, ...args: Parameters<Scope['spawn']>): Subprocess {
      return this.subprocesses.spawn(...args)
    }
  }
}

const decorated = new WeakSet<object>()

/** Express keeps a prototype of requests for each app. Without Express each request is decorated by itself. */
function decorate(request: Request): void {
  if (decorated.has(Object.getPrototypeOf(request))) return
  const target = request.app?.request ?? request
  if (!Object.hasOwn(target, 'subprocesses')) Object.defineProperties(target, decoration)
  if (target !== request) decorated.add(target)
}

export default subprocessGuard
