/** A request and its response in any framework: their life becomes the life of a deadline and a scope. */

import type { ChildProcess } from 'node:child_process'
import type { ServerResponse } from 'node:http'
import { constants } from 'node:http2'
import pTimeout from 'p-timeout'
import { captureIn } from './capture.js'
import type { CloseReason } from './close-reason.js'
import { Deadlines, Expiring, ExpiryQueue } from './deadline.js'
import { SubprocessError } from './errors.js'
import type { Guard } from './guard.js'
import { keepAlive } from './keep-alive.js'
import type { Logger } from './log.js'
import { type ResolvedRouteOptions, type RouteGuardOptions, resolveRouteOptions } from './options.js'
import { readAhead } from './read-ahead.js'
import { errorOfReason, type Scope, type Term } from './scope.js'

/** What a framework knows of its requests. */
export interface Framework<Request extends object, Response> {
  /** Node's own response. */
  rawOf(response: Response): ServerResponse
  requestOf(response: Response): Request
  /** What ends with the connection: the socket, or the stream of HTTP/2. */
  carrierOf(request: Request): Carrier
  logOf(request: Request): Logger
  routeOf(request: Request): string | undefined
  /** Whether the request asks for another protocol, such as WebSocket. */
  isUpgrade(request: Request): boolean
  /** Whether an error can still be the answer. */
  canAnswer(response: Response): boolean
  /** Answers with an error, through the framework's own error handler. */
  answer(response: Response, error: Error): void
}

/** A socket, or a stream of HTTP/2. */
export interface Carrier {
  readonly destroyed: boolean
  /** Not there in a request that is injected for a test. */
  destroy?(): void
  /** A stream of HTTP/2 is closed with a code: destroyed, it would look complete to the client. */
  close?(code: number): void
  once(event: 'close', listener: () => void): unknown
  off(event: 'close', listener: () => void): unknown
}

// How long an error handler and the client may take for the answer to a request that was cut short, in ms.
const answerWithinMs = 5_000

/** All exchanges of one context of a framework. */
export class Exchanges<Request extends object, Response extends object> {
  readonly guard: Guard
  readonly framework: Framework<Request, Response>
  /** Of all that is under way, and of some that is over. */
  readonly deadlines = new Deadlines<Exchange<Request, Response>>()
  /** Where an exchange whose deadline has passed waits for the end of its answer. */
  readonly #answering = new ExpiryQueue<Exchange<Request, Response>>(answerWithinMs)
  /** The exchanges of each connection: one, and more only where requests are pipelined. */
  readonly #key = Symbol('exchange')
  readonly #scopes = new WeakMap<Request, Scope>()
  /** Requests that were cut short before they had a scope. */
  readonly #cutShort = new WeakMap<Request, CloseReason>()

  constructor(guard: Guard, framework: Framework<Request, Response>) {
    this.guard = guard
    this.framework = framework
    guard.onWhere((value) => this.#routeOf(value))
    guard.onKeeperLost(() => {
      for (const exchange of this.deadlines) {
        const { request } = exchange
        if (request !== undefined && this.#scopes.has(request)) this.cutShort(exchange, 'keeper-lost')
      }
    })
  }

  /** A request has come: its deadline runs from now. */
  arrive(request: Request, response: Response, options: ResolvedRouteOptions): void {
    const carrier = this.framework.carrierOf(request)
    const first = this.#firstOn(carrier)
    let exchange = first
    while (exchange !== undefined && !exchange.isOver) exchange = exchange.nextOnCarrier
    if (exchange === undefined) {
      exchange = new Exchange(this, carrier, first)
      bearing(carrier)[this.#key] = exchange
    }
    exchange.begin(response, options)
    this.deadlines.start(exchange, options.timeoutMs)
  }

  /** Gives a request that is under way the options of its route. Throws a TypeError for a wrong one. */
  override(request: Request, override: RouteGuardOptions | false, where: string): void {
    const exchange = this.#find(request)
    if (exchange?.options === undefined) return
    const options = resolveRouteOptions(override, exchange.options, where)
    if (options === false) {
      exchange.forget()
    } else {
      exchange.options = options
      this.deadlines.change(exchange, options.timeoutMs)
    }
    this.#scopes.get(request)?.tellDeadline()
  }

  /** Resolves when all that is under way has ended, after so many ms at the latest. */
  async drained(ms: number): Promise<void> {
    // p-timeout takes no 0.
    if (ms === 0) return
    const ends = [...this.deadlines].map((exchange) => exchange.ended)
    await pTimeout(Promise.all(ends), { milliseconds: ms, fallback: () => {} })
  }

  /** Runs a function in the course of the request, so that children which it creates can be captured. */
  inCourseOf<Result>(request: Request, act: () => Result): Result {
    return this.guard.captures ? captureIn((child) => this.#adopt(request, child), act) : act()
  }

  /** The scope of a request, opened when it is first asked for. Throws when the request is over. */
  scopeOf(request: Request): Scope {
    const known = this.#scopes.get(request)
    if (known !== undefined) return known
    const reason = this.#cutShort.get(request)
    if (reason !== undefined) throw errorOfReason(reason)
    const exchange = this.#find(request)
    if (exchange === undefined) throw this.#errorOfAbsent(request)
    const scope = exchange.openScope()
    this.#scopes.set(request, scope)
    return scope
  }

  /** The handler threw: whatever it started ends. */
  fail(request: Request): void {
    void this.#scopes.get(request)?.close('failed')
  }

  /** Ends what still runs: closes its scope and answers with the reason, or cuts the connection. */
  cutShort(exchange: Exchange<Request, Response>, reason: 'deadline' | 'shutdown' | 'keeper-lost'): void {
    const { request, response } = exchange
    if (request === undefined || response === undefined || exchange.isAnswering) return
    const scope = this.#scopes.get(request)
    if (scope === undefined) this.#cutShort.set(request, reason)
    else void scope.close(reason)
    // The handler has done its part: what is left is for the client to read, or waits for its turn behind an
    // earlier request on the connection.
    if (this.framework.rawOf(response).writableEnded) return
    if (!this.framework.canAnswer(response)) {
      exchange.cut()
      return
    }
    // Should even the answer not end, the connection is cut.
    exchange.isAnswering = true
    this.#answering.add(exchange)
    try {
      this.framework.answer(response, errorOfReason(reason))
    } catch (err) {
      // Such as Fastify's refusal to send while its onError hooks run.
      this.framework.logOf(request).error({ err }, 'the answer to a request that was cut short failed')
      exchange.cut()
    }
  }

  /** Cuts short all that is under way. */
  cutAllShort(reason: 'shutdown'): void {
    for (const exchange of this.deadlines) this.cutShort(exchange, reason)
  }

  /** Forgets all deadlines: there are no more requests. */
  clear(): void {
    this.deadlines.clear()
    this.#answering.clear()
  }

  #adopt(request: Request, child: ChildProcess): void {
    let scope: Scope | undefined
    try {
      scope = this.scopeOf(request)
      scope.adopt(child)
    } catch {
      // Its request is over. A scope ends it all the same; where there was none, somebody else has to.
      const { framework, guard } = this
      if (scope === undefined) guard.endLate(child, framework.logOf(request), framework.routeOf(request))
    }
  }

  #find(request: Request): Exchange<Request, Response> | undefined {
    let exchange = this.#firstOn(this.framework.carrierOf(request))
    while (exchange !== undefined && exchange.request !== request) exchange = exchange.nextOnCarrier
    return exchange
  }

  #firstOn(carrier: Carrier): Exchange<Request, Response> | undefined {
    return bearing(carrier)[this.#key] as Exchange<Request, Response> | undefined
  }

  /** Which route it is for, when the value is a request under way or its response. It costs nothing until then. */
  #routeOf(value: unknown): string | undefined {
    for (const { request, response } of this.deadlines) {
      if (request === undefined || response === undefined) continue
      const raw = this.framework.rawOf(response)
      if (value !== request && value !== response && value !== raw && value !== raw.req) continue
      return this.framework.routeOf(request)
    }
    return undefined
  }

  #errorOfAbsent(request: Request): SubprocessError {
    if (this.framework.carrierOf(request).destroyed) return errorOfReason('disconnected')
    const wayOut =
      'it is over, its route has `subprocessGuard: false`, or the guard has not seen it yet: register the guard first'
    return new SubprocessError('ERR_SUBPROCESS_UNGUARDED', wayOut)
  }
}

/** What the guard notes on a carrier itself, by a symbol of its own: to look it up elsewhere costs every request. */
function bearing(carrier: Carrier): Record<symbol, unknown> {
  return carrier as never
}

/** One request and its response. The next request on the connection uses it again. */
export class Exchange<Request extends object, Response extends object>
  extends Expiring<Exchange<Request, Response>>
  implements Term
{
  /** Everything else of the exchange can be had from it. What is held here, the collector has to look at for every request. */
  response: Response | undefined
  readonly nextOnCarrier: Exchange<Request, Response> | undefined
  readonly #exchanges: Exchanges<Request, Response>
  readonly #carrier: Carrier
  /** Whether it was cut short, and the answer that says so is on its way. */
  isAnswering = false
  options: ResolvedRouteOptions | undefined

  constructor(
    exchanges: Exchanges<Request, Response>,
    carrier: Carrier,
    nextOnCarrier: Exchange<Request, Response> | undefined
  ) {
    super()
    this.#exchanges = exchanges
    this.#carrier = carrier
    this.nextOnCarrier = nextOnCarrier
  }

  get request(): Request | undefined {
    return this.response === undefined ? undefined : this.#exchanges.framework.requestOf(this.response)
  }

  get #raw(): ServerResponse | undefined {
    return this.response === undefined ? undefined : this.#exchanges.framework.rawOf(this.response)
  }

  begin(response: Response, options: ResolvedRouteOptions): void {
    this.response = response
    this.options = options
    this.isAnswering = false
  }

  /** Opens the request's scope: it closes with the response. Throws when the request is over. */
  openScope(): Scope {
    const { guard, framework } = this.#exchanges
    const request = this.request as Request
    const raw = this.#raw as ServerResponse
    const { graceMs, killSignal } = this.options as ResolvedRouteOptions
    if (raw.writableEnded) throw errorOfReason('finished')
    if (this.isOver) throw errorOfReason('disconnected')
    const scope = guard.openScope({
      graceMs,
      killSignal,
      log: framework.logOf(request),
      route: framework.routeOf(request),
      term: this
    })
    // HTTP/2 emits 'finish' for a stream that the client has cancelled, too: only `writableEnded` tells.
    const closeWithResponse = (): void => void scope.close(raw.writableEnded ? 'finished' : 'disconnected')
    // After an upgrade the response may never end: the socket does.
    const emitters = framework.isUpgrade(request) ? [raw, this.#carrier] : [raw]
    raw.once('finish', closeWithResponse)
    for (const emitter of emitters) emitter.once('close', closeWithResponse)
    void scope.closed.then(() => {
      raw.off('finish', closeWithResponse)
      for (const emitter of emitters) emitter.off('close', closeWithResponse)
    })
    readAhead(raw.req, scope.closed)
    keepAlive(raw.req)
    return scope
  }

  extend(ms: number): void {
    this.#exchanges.deadlines.extend(this, ms)
  }

  override get isOver(): boolean {
    const raw = this.#raw
    return raw === undefined || raw.writableFinished || raw.destroyed || this.#carrier.destroyed
  }

  override expire(): void {
    if (this.isAnswering) this.cut()
    else this.#exchanges.cutShort(this, 'deadline')
  }

  override letGo(): void {
    this.response = undefined
    this.options = undefined
  }

  /** The request is not guarded. */
  forget(): void {
    this.queue?.remove(this)
    this.deadlineAt = Number.POSITIVE_INFINITY
    this.letGo()
  }

  /** Resolves when the response has ended, in whatever way. */
  get ended(): Promise<void> {
    return new Promise((resolve) => {
      if (this.isOver) resolve()
      else this.#raw?.once('close', resolve)
    })
  }

  /** Ends the connection, so that the client sees that the answer is not whole. */
  cut(): void {
    if (this.#carrier.close === undefined) {
      this.#raw?.destroy()
      this.#carrier.destroy?.()
    } else {
      this.#carrier.close(constants.NGHTTP2_INTERNAL_ERROR)
    }
    this.letGo()
  }
}
