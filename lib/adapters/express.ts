/** The Express middleware: `req.spawn()`, deadlines and shutdown. Works with any `node:http` server. */

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
import { ownOf } from '../validate-option.js'
import { ExchangeRegistry } from './exchange-registry.js'
import {
  decorate,
  type ExpressExchanges,
  type ExpressRequest,
  ExpressResponder,
  exchangesOf,
  expressKey,
  holderOf,
  type Next
} from './express-request.js'
import type { Framework } from './framework.js'
import { sendErrorByExpress } from './send-error-by-express.js'

refuseInPlaceOfKeeper()

declare global {
  namespace Express {
    interface Request {
      /** The scope of this request, opened on first use. */
      readonly subprocesses: Scope
      /** Starts a command that ends with this request, like `child_process.spawn`. See `Scope.spawn`. */
      spawn: Scope['spawn']
    }
  }
}

/** Options of the middleware. */
export interface ExpressGuardOptions extends SubprocessGuardOptions {
  /**
   * The logger of the guard. A request that has a `log` of its own, as with pino-http, uses that. Default:
   * warnings and errors as JSON lines on standard error.
   */
  logger?: Logger
}

/** A middleware of Express or a similar framework. */
export type RequestHandler = (req: IncomingMessage, res: ServerResponse, next: Next) => void

/** The middleware of the guard, with its shutdown. */
export interface ExpressGuard extends RequestHandler {
  /** Resolves with the guard when its keeper is ready: requests wait for it. Rejects if it cannot start. */
  readonly ready: Promise<Guard>
  /**
   * Waits for the requests in flight, for up to `drain`, and answers the rest with `ERR_SUBPROCESS_SHUTDOWN`.
   * Resolves when all processes are gone. Close the server before, so that no new requests arrive.
   */
  close(): Promise<void>
}

/** A request that has come through the middleware, for servers without Express. */
export interface GuardedRequest extends IncomingMessage {
  /** The scope of this request, opened on first use. */
  readonly subprocesses: Scope
  /** Starts a command that ends with this request, like `child_process.spawn`. See `Scope.spawn`. */
  spawn: Scope['spawn']
}

/**
 * Middleware that gives each request `req.spawn()`, `req.subprocesses` and a deadline. Use it before all
 * other middleware. If the deadline passes before the headers are sent, it calls `next(error)`, so that your
 * error handler answers the request. If the headers are sent already, it cuts off the response.
 *
 * @throws {TypeError} for an invalid option.
 */
export function subprocessGuard(given: ExpressGuardOptions = {}): ExpressGuard {
  const { logger = defaultLogger, ...rest } = ownOf(given)
  const options = resolveOptions(rest)
  const ready = Guard.start(options, logger)
  // Each request gets the error, so `ready` need not be awaited.
  ready.catch(() => {})
  let exchanges: ExpressExchanges | undefined
  const started = ready.then((guard) => {
    exchanges = new ExchangeRegistry(guard, frameworkOf(logger, options), expressKey)
    return exchanges
  })
  started.catch(() => {})

  const handler: RequestHandler = (req, res, next) => {
    if (exchanges !== undefined) handle(exchanges, options, req, res, next)
    else started.then((exchanges) => handle(exchanges, options, req, res, next), next)
  }

  async function shutDown(): Promise<void> {
    const exchanges = await started.catch(() => undefined)
    // If the keeper could not be started, there is nothing to end.
    if (exchanges === undefined) return
    await exchanges.drain(options.drainMs)
    exchanges.guard.refuseScopes()
    exchanges.cutShortAll('shutdown')
    await exchanges.guard.close()
    exchanges.clear()
  }

  let closing: Promise<void> | undefined
  const close = (): Promise<void> => {
    closing ??= shutDown()
    return closing
  }
  return Object.assign(handler, { ready, close })
}

/**
 * Middleware that sets options for one route: `timeout`, `grace`, `killSignal`, `firstSignalTo`, `privateTmp`,
 * `limits`, `priority` and `policy`, or `false` for no deadline and no subprocesses. Use it after
 * `subprocessGuard()`, and before anything that uses the subprocesses of the request. The deadline counts from
 * the arrival of the request all the same.
 *
 * @throws {TypeError} for an invalid option.
 */
subprocessGuard.route = (override: RouteGuardOptions | false): RequestHandler => {
  const where = 'subprocessGuard.route()'
  // Validate now, so that a mistake is an error where the route is declared. Only a request tells which server
  // it has: a `queue` may need the `concurrency` of that server.
  resolveRouteOptions(override, resolveOptions({ limits: { concurrency: 1 } }), where)
  return (req, _res, next) => {
    const exchanges = exchangesOf(req)
    if (exchanges === undefined) {
      const wayOut = 'the request has not come through subprocessGuard(): use that before'
      next(new SubprocessOptionError(where, override, wayOut))
      return
    }
    try {
      exchanges.overrideOptions(req, override, where)
    } catch (error) {
      next(error)
      return
    }
    next()
  }
}

function handle(
  exchanges: ExpressExchanges,
  options: ResolvedOptions,
  req: ExpressRequest,
  res: ServerResponse,
  next: Next
): void {
  if (exchangesOf(req) !== undefined) {
    const wayOut =
      'the request has come through one already: use it once, and subprocessGuard.route() after it'
    next(new SubprocessOptionError('subprocessGuard()', 'used twice', wayOut))
    return
  }
  decorate(req)
  exchanges.start(req, res, new ExpressResponder(exchanges, next), options)
  if (exchanges.guard.captures) captureEvents(req, (emit) => exchanges.runInContextOf(req, emit))
  exchanges.runInContextOf(req, next)
}

function frameworkOf(logger: Logger, options: ResolvedOptions): Framework<ExpressRequest, ExpressResponder> {
  return {
    rawOf: (request) => request,
    holderOf,
    requestOf: (raw) => raw,
    optionsOf: () => options,
    logOf: (request) => request.log ?? logger,
    routeOf: ({ method, baseUrl = '', route }) =>
      route === undefined ? undefined : `${method} ${baseUrl}${route.path}`,
    canAnswer: (_responder, response) => !response.headersSent,
    sendError: ({ next }, lock, error) => sendErrorByExpress(next, lock, error)
  }
}

export default subprocessGuard
