/** All requests of one framework context: finds the exchange of a request, and creates it when needed. */

import type { ChildProcess } from 'node:child_process'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { CutReason } from '../close-reason.js'
import { SubprocessError } from '../errors.js'
import type { Guard } from '../guard/guard.js'
import type { Scope } from '../guard/scope.js'
import { scopeClosedError } from '../guard/scope-closed-error.js'
import { type ResolvedRouteOptions, type RouteGuardOptions, resolveRouteOptions } from '../options.js'
import { Deadlines } from '../time/deadlines.js'
import { ExpiryQueue } from '../time/expiry-queue.js'
import { isDisconnected } from './client-disconnect.js'
import { Connection, type CurrentRequestLookup, type DeadlineEntry } from './connection.js'
import { Exchange, type ExchangeContext } from './exchange.js'
import type { Framework } from './framework.js'
import { type Transport, transportOf } from './transport.js'

// How long an error handler and the client may take for the answer to a request that was cut short, in ms.
const answerMs = 5_000

export class ExchangeRegistry<Request extends object, Responder extends object> {
  readonly guard: Guard
  readonly #framework: Framework<Request, Responder>
  /** The deadlines of all requests under way, and of some that are over. */
  readonly #deadlines = new Deadlines<DeadlineEntry<Exchange>>()
  /** The property of a transport that holds its connection. */
  readonly #connectionKey = Symbol('subprocess-guard')
  /** The property of a request's holder that holds its responder, or its exchange once there is one. */
  readonly #key: symbol
  readonly #currentRequest: CurrentRequestLookup<Exchange> = {
    isIdle: (transport) => this.#responderOn(transport) === undefined,
    exchangeOn: (connection) => this.#exchangeOn(connection)
  }
  readonly #context: ExchangeContext

  constructor(guard: Guard, framework: Framework<Request, Responder>, key = Symbol('subprocess-guard')) {
    this.guard = guard
    this.#framework = framework
    this.#key = key
    this.#context = {
      guard,
      framework,
      deadlines: this.#deadlines,
      answerDeadlines: new ExpiryQueue(answerMs)
    }
    guard.addRouteLookup((value) => this.#routeOf(value))
    guard.onCutShort((reason, isAffected) => {
      for (const exchange of this.#underWay()) {
        const { openedScope } = exchange
        if (openedScope !== undefined && isAffected(openedScope)) exchange.cutShort(reason)
      }
    })
  }

  /** A request has arrived: its deadline runs from now. */
  start(
    raw: IncomingMessage,
    response: ServerResponse,
    responder: Responder,
    options: ResolvedRouteOptions
  ): void {
    const transport = transportOf(raw)
    if (Connection.responseOn(transport) === response) {
      this.#propertiesOf(raw)[this.#key] = responder
      this.#deadlines.start(this.#connectionOf(transport), options.timeoutMs)
    } else {
      // It waits behind another request, or does not come by an HTTP/1 connection.
      const exchange = this.#createExchange(raw, response, responder, options)
      this.#deadlines.start(exchange, options.timeoutMs)
      // Its body, which is not read before its turn, would hide the end of the connection.
      exchange.readAhead()
    }
  }

  /** Applies the options of a route to a request under way. Throws a TypeError for an invalid one. */
  overrideOptions(request: Request, override: RouteGuardOptions | false, where: string): void {
    const exchange = this.#find(request)
    if (exchange === undefined) return
    const options = resolveRouteOptions(override, exchange.options, where)
    if (options === false) {
      exchange.queue?.remove(exchange)
      exchange.deadlineAt = Number.POSITIVE_INFINITY
      exchange.isUnguarded = true
    } else {
      const { deadlineAt, options: before } = exchange
      exchange.options = options
      const newDeadlineAt = deadlineAt - before.timeoutMs + options.timeoutMs
      this.#deadlines.startAt(exchange, newDeadlineAt, options.timeoutMs)
    }
    exchange.openedScope?.sendDeadline()
  }

  /** Calls a function in the async context of the request: children that it creates can be captured. */
  runInContextOf<Result>(request: Request, task: () => Result): Result {
    return this.guard.captures ? this.guard.captureIn((child) => this.#adopt(request, child), task) : task()
  }

  /** The scope of a request, opened on first use. Throws if the request is over or not guarded. */
  scopeOf(request: Request): Scope {
    const exchange = this.#find(request)
    if (exchange === undefined) throw this.#errorWithoutExchange(request)
    return exchange.scope
  }

  /** The handler has failed: what it started ends. */
  handlerFailed(request: Request): void {
    this.#find(request)?.handlerFailed()
  }

  /** Waits for the requests and jobs that are under way now, for up to `timeoutMs`. */
  async drain(timeoutMs: number): Promise<void> {
    const ends = this.#underWay().map(
      (exchange) => new Promise<void>((resolve) => exchange.onEnd(() => resolve()))
    )
    await this.guard.drain(timeoutMs, ends)
  }

  /** Answers all requests under way with the reason, or cuts off their answers. */
  cutShortAll(reason: CutReason): void {
    for (const exchange of this.#underWay()) exchange.cutShort(reason)
  }

  /** Drops all deadlines. There are no more requests, but answers may still be under way. */
  clear(): void {
    this.#deadlines.clear()
  }

  #underWay(): Exchange[] {
    return [...this.#deadlines].flatMap(({ exchange }) => exchange ?? [])
  }

  #adopt(request: Request, child: ChildProcess): void {
    let scope: Scope | undefined
    try {
      scope = this.scopeOf(request)
      scope.adopt(child)
    } catch {
      // The request is over. A closed scope ends and logs the child itself. Without a scope, end it here.
      if (scope !== undefined) return
      const framework = this.#framework
      this.guard.endLateProcess(child, framework.logOf(request), framework.routeOf(request))
    }
  }

  #connectionOf(transport: Transport): Connection<Exchange> {
    const properties = symbolPropertiesOf(transport)
    const known = properties[this.#connectionKey] as Connection<Exchange> | undefined
    if (known !== undefined) return known
    const connection = new Connection(transport, this.#currentRequest)
    properties[this.#connectionKey] = connection
    return connection
  }

  #createExchange(
    raw: IncomingMessage,
    response: ServerResponse,
    responder: Responder,
    options?: ResolvedRouteOptions
  ): Exchange {
    const request = this.#framework.requestOf(raw, responder)
    const exchange = new Exchange(
      { request, response, responder },
      options ?? this.#framework.optionsOf(request),
      this.#connectionOf(transportOf(raw)),
      this.#context
    )
    this.#propertiesOf(raw)[this.#key] = exchange
    return exchange
  }

  /** The responder of the request that a connection serves now, unless the request has an exchange. */
  #responderOn(transport: Transport): Responder | undefined {
    const response = Connection.responseOn(transport)
    if (response === undefined || transport.destroyed || response.writableFinished) return undefined
    const value = this.#propertiesOf(response.req)[this.#key]
    return value instanceof Exchange ? undefined : (value as Responder | undefined)
  }

  /** Creates the exchange of the request that a connection serves now, and moves the deadline there. */
  #exchangeOn(connection: Connection<Exchange>): Exchange | undefined {
    const responder = this.#responderOn(connection.transport)
    if (responder === undefined) return undefined
    const response = Connection.responseOn(connection.transport) as ServerResponse
    const exchange = this.#createExchange(response.req, response, responder)
    this.#deadlines.startAt(exchange, connection.deadlineAt, exchange.options.timeoutMs)
    return exchange
  }

  /** Undefined if the request is over, is not guarded, or has not come through this guard. */
  #find(request: Request): Exchange | undefined {
    const raw = this.#framework.rawOf(request)
    const value = this.#propertiesOf(raw)[this.#key]
    if (value instanceof Exchange) return value.isUnguarded ? undefined : value
    if (value === undefined) return undefined
    const transport = transportOf(raw)
    if (Connection.responseOn(transport)?.req !== raw) return undefined
    return this.#exchangeOn(this.#connectionOf(transport))
  }

  /**
   * The route, if the value is a request under way or its response. A search, so that requests pay nothing.
   */
  #routeOf(value: unknown): string | undefined {
    for (const { request, response, responder } of this.#underWay()) {
      if (value !== request && value !== responder && value !== response && value !== response.req) continue
      return this.#framework.routeOf(request as Request)
    }
    return undefined
  }

  #propertiesOf(raw: IncomingMessage): Record<symbol, unknown> {
    return symbolPropertiesOf(this.#framework.holderOf(raw))
  }

  #errorWithoutExchange(request: Request): SubprocessError {
    const raw = this.#framework.rawOf(request)
    if (isDisconnected(transportOf(raw))) return scopeClosedError('disconnected')
    const value = this.#propertiesOf(raw)[this.#key]
    const isUnguarded = value === undefined || (value instanceof Exchange && value.isUnguarded)
    return isUnguarded ? unguardedError() : scopeClosedError('finished')
  }
}

/** The responder of a request of the `ExchangeRegistry` with this key; undefined for any other request. */
export function responderOf(holder: object, key: symbol): unknown {
  const value = symbolPropertiesOf(holder)[key]
  return value instanceof Exchange ? value.responder : value
}

/** The error of a request that has no scope because it is not guarded. */
export function unguardedError(): SubprocessError {
  const wayOut =
    'its route has `subprocessGuard: false`, or the guard has not seen it yet: register the guard first'
  return new SubprocessError('ERR_SUBPROCESS_UNGUARDED', wayOut)
}

/** The properties that the guard adds to an object that is not its own, under symbols of its own. */
function symbolPropertiesOf(object: object): Record<symbol, unknown> {
  return object as never
}
