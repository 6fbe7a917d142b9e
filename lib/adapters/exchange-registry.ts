/** All requests of one context of a framework. */

import type { ChildProcess } from 'node:child_process'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { CutReason } from '../close-reason.js'
import { SubprocessError } from '../errors.js'
import type { Guard } from '../guard/guard.js'
import { errorOfReason, type Scope } from '../guard/scope.js'
import type { Logger } from '../log.js'
import { type ResolvedRouteOptions, type RouteGuardOptions, resolveRouteOptions } from '../options.js'
import { Deadlines } from '../time/deadlines.js'
import { ExpiryQueue } from '../time/expiry-queue.js'
import { Connection, type Current, type Entry } from './connection.js'
import { Exchange, type Parts, type Surroundings } from './exchange.js'
import type { TakenResponse } from './taken-response.js'
import { isGone, type Transport } from './transport.js'

/** What a framework knows of its requests. */
export interface Framework<Request extends object, Answer> {
  /** Node's own request. */
  rawOf(request: Request): IncomingMessage
  /** Where the guard notes what it knows of a request: to look it up in a map would cost a request a third of its time. */
  holderOf(raw: IncomingMessage): object
  /** The request whose answer it is. */
  requestOf(raw: IncomingMessage, answer: Answer): Request
  /** The options that the request arrived with. */
  optionsOf(request: Request): ResolvedRouteOptions
  logOf(request: Request): Logger
  routeOf(request: Request): string | undefined
  /** Whether an error can still be the answer. */
  canAnswer(answer: Answer, response: ServerResponse): boolean
  /** Answers with an error, through the framework's own error handler. */
  answer(answer: Answer, taken: TakenResponse, error: Error): void
}

// How long an error handler and the client may take for the answer to a request that was cut short, in ms.
const answerWithinMs = 5_000

export class ExchangeRegistry<Request extends object, Answer extends object> {
  readonly guard: Guard
  readonly #framework: Framework<Request, Answer>
  /** Of all that is under way, and of some that is over. */
  readonly #deadlines = new Deadlines<Entry<Exchange>>()
  /** Where a request that was cut short waits for the end of its answer. */
  readonly #answering = new ExpiryQueue<Entry<Exchange>>(answerWithinMs)
  /** The property of a carrier that has its connection. */
  readonly #carrierKey = Symbol('subprocess-guard')
  readonly #key: symbol
  readonly #current: Current<Exchange> = {
    isIdle: (carrier) => this.#answerOn(carrier) === undefined,
    exchangeOn: (connection) => this.#exchangeOn(connection)
  }
  readonly #surroundings: Surroundings

  /** `key` is the property of a request's holder that has what answers the request, or its exchange when there is one. */
  constructor(guard: Guard, framework: Framework<Request, Answer>, key = Symbol('subprocess-guard')) {
    this.guard = guard
    this.#framework = framework
    this.#key = key
    this.#surroundings = this.#makeSurroundings()
    guard.onWhere((value) => this.#routeOf(value))
    guard.onCutShort((reason, isConcerned) => {
      for (const exchange of this.#underWay()) {
        const { openedScope } = exchange
        if (openedScope !== undefined && isConcerned(openedScope)) exchange.cutShort(reason)
      }
    })
  }

  /** A request has come: its deadline runs from now. */
  arrive(
    raw: IncomingMessage,
    response: ServerResponse,
    answer: Answer,
    options: ResolvedRouteOptions
  ): void {
    const carrier = carrierOf(raw)
    if (Connection.responseOn(carrier) === response) {
      this.#notesOn(raw)[this.#key] = answer
      this.#deadlines.start(this.#connectionOf(carrier), options.timeoutMs)
    } else {
      // It waits behind another one, or the carrier is not a connection of HTTP/1.
      const exchange = this.#makeExchange(raw, response, answer, options)
      this.#deadlines.start(exchange, options.timeoutMs)
      // Its body is not read before its turn, and hides the end of the connection from the requests before it.
      exchange.readAhead()
    }
  }

  /** Gives a request that is under way the options of its route. Throws a TypeError for a wrong one. */
  override(request: Request, override: RouteGuardOptions | false, where: string): void {
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
      const at = deadlineAt - before.timeoutMs + options.timeoutMs
      this.#deadlines.startAt(exchange, at, options.timeoutMs)
    }
    exchange.openedScope?.tellDeadline()
  }

  /** Resolves when all requests and jobs that are under way have ended, after so many ms at the latest. */
  async drained(ms: number): Promise<void> {
    const ends = this.#underWay().map(
      (exchange) => new Promise<void>((resolve) => exchange.onOver(() => resolve()))
    )
    await this.guard.drained(ms, ends)
  }

  /** Runs a function in the course of the request, so that children which it creates can be captured. */
  inCourseOf<Result>(request: Request, act: () => Result): Result {
    return this.guard.captures ? this.guard.captureIn((child) => this.#adopt(request, child), act) : act()
  }

  /** The scope of a request, opened when it is first asked for. Throws when the request is over. */
  scopeOf(request: Request): Scope {
    const exchange = this.#find(request)
    if (exchange === undefined) throw this.#errorOfAbsent(request)
    return exchange.scope
  }

  /** The handler threw: whatever it started ends. */
  fail(request: Request): void {
    this.#find(request)?.fail()
  }

  /** Cuts short all that is under way. */
  cutAllShort(reason: CutReason): void {
    for (const exchange of this.#underWay()) exchange.cutShort(reason)
  }

  /** Forgets all deadlines: there are no more requests, but perhaps answers on their way. */
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
      // Its request is over. A scope ends it all the same; where there was none, somebody else has to.
      const { guard } = this
      const framework = this.#framework
      if (scope === undefined) guard.endLate(child, framework.logOf(request), framework.routeOf(request))
    }
  }

  #connectionOf(carrier: Transport): Connection<Exchange> {
    const known = noted(carrier)[this.#carrierKey] as Connection<Exchange> | undefined
    if (known !== undefined) return known
    const connection = new Connection(carrier, this.#current)
    noted(carrier)[this.#carrierKey] = connection
    return connection
  }

  #makeExchange(
    raw: IncomingMessage,
    response: ServerResponse,
    answer: Answer,
    options?: ResolvedRouteOptions
  ): Exchange {
    const request = this.#framework.requestOf(raw, answer)
    const exchange = new Exchange(
      { request, response, answer },
      options ?? this.#framework.optionsOf(request),
      this.#connectionOf(carrierOf(raw)),
      this.#surroundings
    )
    this.#notesOn(raw)[this.#key] = exchange
    return exchange
  }

  /** What answers the request that is sent on a connection now, and has no exchange yet. */
  #answerOn(carrier: Transport): Answer | undefined {
    const response = Connection.responseOn(carrier)
    if (response === undefined || carrier.destroyed || response.writableFinished) return undefined
    const answer = this.#notesOn(response.req)[this.#key]
    return answer instanceof Exchange ? undefined : (answer as Answer | undefined)
  }

  /** The request that is sent on a connection now. From here on it has a deadline of its own. */
  #exchangeOn(connection: Connection<Exchange>): Exchange | undefined {
    const answer = this.#answerOn(connection.carrier)
    if (answer === undefined) return undefined
    const response = Connection.responseOn(connection.carrier) as ServerResponse
    const exchange = this.#makeExchange(response.req, response, answer)
    this.#deadlines.startAt(exchange, connection.deadlineAt, exchange.options.timeoutMs)
    return exchange
  }

  #find(request: Request): Exchange | undefined {
    const raw = this.#framework.rawOf(request)
    const note = this.#notesOn(raw)[this.#key]
    if (note instanceof Exchange) return note.isUnguarded ? undefined : note
    if (note === undefined) return undefined
    const carrier = carrierOf(raw)
    if (Connection.responseOn(carrier)?.req !== raw) return undefined
    return this.#exchangeOn(this.#connectionOf(carrier))
  }

  /** Which route it is for, when the value is a request under way or its response. It costs nothing until then. */
  #routeOf(value: unknown): string | undefined {
    for (const { request, response, answer } of this.#underWay()) {
      if (value !== request && value !== answer && value !== response && value !== response.req) continue
      return this.#framework.routeOf(request as Request)
    }
    return undefined
  }

  #notesOn(raw: IncomingMessage): Record<symbol, unknown> {
    return noted(this.#framework.holderOf(raw))
  }

  #errorOfAbsent(request: Request): SubprocessError {
    const raw = this.#framework.rawOf(request)
    if (isGone(carrierOf(raw))) return errorOfReason('disconnected')
    const note = this.#notesOn(raw)[this.#key]
    const isUnguarded = note === undefined || (note instanceof Exchange && note.isUnguarded)
    return isUnguarded ? errorOfUnguarded() : errorOfReason('finished')
  }

  #makeSurroundings(): Surroundings {
    const { guard } = this
    const framework = this.#framework
    const requestOf = ({ request }: Parts): Request => request as Request
    return {
      openScope: (exchange) =>
        guard.openScope({
          graceMs: exchange.options.graceMs,
          killSignal: exchange.options.killSignal,
          firstSignalTo: exchange.options.firstSignalTo,
          privateTmp: exchange.options.privateTmp,
          log: framework.logOf(requestOf(exchange)),
          route: framework.routeOf(requestOf(exchange)),
          term: exchange
        }),
      extend: (exchange, ms) => this.#deadlines.extend(exchange, ms),
      startAnswer: (exchange) => this.#answering.add(exchange),
      canAnswer: ({ answer, response }) => framework.canAnswer(answer as Answer, response),
      answer: ({ answer }, taken, error) => framework.answer(answer as Answer, taken, error),
      log: (exchange, level, fields, message) => framework.logOf(requestOf(exchange))[level](fields, message)
    }
  }
}

/** What answers a request that has come through `Exchanges` with that key; undefined for any other request. */
export function answerNotedOn(holder: object, key: symbol): unknown {
  const note = noted(holder)[key]
  return note instanceof Exchange ? note.answer : note
}

/** Of a request that has no scope. */
export function errorOfUnguarded(): SubprocessError {
  const wayOut =
    'its route has `subprocessGuard: false`, or the guard has not seen it yet: register the guard first'
  return new SubprocessError('ERR_SUBPROCESS_UNGUARDED', wayOut)
}

/** What ends with the connection of a request: the socket, or the stream of HTTP/2. The types know of HTTP/1 alone. */
function carrierOf(raw: IncomingMessage): Transport {
  // To look for a `stream` that is not there costs more.
  return raw.httpVersionMajor === 2 ? (raw as unknown as { stream: Transport }).stream : raw.socket
}

/** What the guard notes on an object that is not its own, by a symbol of its own. */
function noted(object: object): Record<symbol, unknown> {
  return object as never
}
