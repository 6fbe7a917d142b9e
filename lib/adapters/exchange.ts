/** One request and its response, in any framework: their lifetime is that of a deadline and a scope. */

import type { ServerResponse } from 'node:http'
import type { CutReason } from '../close-reason.js'
import type { Guard } from '../guard/guard.js'
import type { Scope } from '../guard/scope.js'
import { scopeClosedError } from '../guard/scope-closed-error.js'
import type { ScopeDeadline } from '../guard/scope-context.js'
import type { ScopePlaces } from '../guard/scope-places.js'
import type { ResolvedLimits } from '../limit-options.js'
import type { ResolvedRouteOptions } from '../options.js'
import type { Deadlines } from '../time/deadlines.js'
import { Expiring, type ExpiryQueue } from '../time/expiry-queue.js'
import { answerCutShortRequest, type CutShortRequest, cutOffAnswer } from './answer-cut-short-request.js'
import { isDisconnected } from './client-disconnect.js'
import type { Connection, DeadlineEntry } from './connection.js'
import { endConnectionWhenDestroyed } from './cut-off-response.js'
import type { Framework } from './framework.js'
import { ResponseLock } from './response-lock.js'
import { enableTcpKeepAlive } from './tcp-keep-alive.js'
import type { Transport } from './transport.js'
import { readAhead } from './upload-read-ahead.js'

/** What all exchanges of one framework context share. */
export interface ExchangeContext {
  readonly guard: Guard
  readonly framework: Framework<object, unknown>
  readonly deadlines: Deadlines<DeadlineEntry<Exchange>>
  /** Limits the time for answers to requests that were cut short. */
  readonly answerDeadlines: ExpiryQueue<DeadlineEntry<Exchange>>
}

/** What a request consists of. */
export interface ExchangeParts {
  /** The framework's request. */
  readonly request: object
  /** Node's response. */
  readonly response: ServerResponse
  /** What the framework answers by. */
  readonly responder: unknown
}

/** `answering`: cut short, and being answered by the guard. `done`: that answer is sent, or never will be. */
type State = 'open' | 'answering' | 'done'

/** Created only for a request that has a scope, waits behind another one, is cut short, or is waited for. */
export class Exchange
  extends Expiring<DeadlineEntry<Exchange>>
  implements DeadlineEntry<Exchange>, ScopeDeadline, ExchangeParts, CutShortRequest
{
  readonly request: object
  readonly response: ServerResponse
  readonly responder: unknown
  options: ResolvedRouteOptions
  /** Whether the route has `subprocessGuard: false`: no deadline and no subprocesses. */
  isUnguarded = false
  readonly #context: ExchangeContext
  readonly #connection: Connection<Exchange>
  /** Both are created by the first `onEnd()`: most requests of a pipeline end without one. */
  #endCallbacks: (() => void)[] | undefined
  #endListener: (() => void) | undefined
  #scope: Scope | undefined
  #state: State = 'open'
  #cutReason: CutReason | undefined
  #isReadingAhead = false
  #lock: ResponseLock | undefined

  constructor(
    { request, response, responder }: ExchangeParts,
    options: ResolvedRouteOptions,
    connection: Connection<Exchange>,
    context: ExchangeContext
  ) {
    super()
    this.request = request
    this.response = response
    this.responder = responder
    this.options = options
    this.#connection = connection
    this.#context = context
  }

  get exchange(): this {
    return this
  }

  get transport(): Transport {
    return this.#connection.transport
  }

  /** The scope of the request, opened on first use. Throws if the request is over. */
  get scope(): Scope {
    this.#scope ??= this.#openScope()
    return this.#scope
  }

  get openedScope(): Scope | undefined {
    return this.#scope
  }

  #openScope(): Scope {
    if (this.#cutReason !== undefined) throw scopeClosedError(this.#cutReason)
    if (this.response.writableEnded) throw scopeClosedError('finished')
    if (this.isOver) throw scopeClosedError('disconnected')
    const { guard, framework } = this.#context
    const { timeoutMs: _, ...settings } = this.options
    const { limits } = settings
    const route = framework.routeOf(this.request)
    const scope = guard.openScope({
      ...settings,
      places: limits.commands && this.#placesOf(route, limits),
      log: framework.logOf(this.request),
      route,
      deadline: this
    })
    endConnectionWhenDestroyed(this.response, this.transport)
    this.onEnd(() => this.#closeScope(scope))
    this.readAhead()
    enableTcpKeepAlive(this.response.req)
    return scope
  }

  /** All requests of a route count together; without a route, all for which the same object sets limits. */
  #placesOf(route: string | undefined, limits: ResolvedLimits): ScopePlaces | undefined {
    const group = route ?? limits.commands?.own?.givenAs
    const name = route === undefined ? 'the route' : `the route ${route}`
    return this.#context.guard.placesFor(limits, group, name)
  }

  /** The response was sent or the client has left. */
  #closeScope(scope: Scope): void {
    // Not the 'finish' event: HTTP/2 emits it also for a stream that the client has cancelled.
    const isAnswered = this.response.writableEnded
    // Listeners that answer when these commands end are too late.
    if (isAnswered && scope.hasRunningCommand) this.takeFromHandler().seal()
    void scope.close(isAnswered ? 'finished' : 'disconnected')
  }

  /** Buffers a request body that is not read, so that the end of the connection behind it is noticed. */
  readAhead(): void {
    if (this.#isReadingAhead) return
    this.#isReadingAhead = true
    readAhead(this.response.req, (stop) => this.onEnd(stop))
  }

  /** The handler has failed: what it started ends. The handler sees that only after the error is sent. */
  handlerFailed(): void {
    const scope = this.#scope
    if (scope === undefined || scope.reason !== undefined) return
    scope.closeSilently('failed')
    this.onEnd(() => this.resumeEvents())
  }

  extend(ms: number): void {
    this.#context.deadlines.extend(this, ms)
  }

  override get isOver(): boolean {
    return this.response.writableFinished || this.response.destroyed || isDisconnected(this.transport)
  }

  /**
   * Calls back once when the response was sent or the connection has ended. The events of the response are
   * not enough: Node emits none for a response that waits behind another one.
   */
  onEnd(callback: () => void): void {
    this.#endCallbacks ??= []
    this.#endCallbacks.push(callback)
    if (this.#endListener !== undefined) return
    this.#endListener = () => this.#ended()
    this.response.once('finish', this.#endListener)
    this.response.once('close', this.#endListener)
    this.#connection.onClose(this.#endListener)
  }

  #ended(): void {
    if (this.#endListener === undefined) return
    this.response.off('finish', this.#endListener)
    this.response.off('close', this.#endListener)
    this.#connection.offClose(this.#endListener)
    this.#endListener = undefined
    for (const callback of this.#endCallbacks?.splice(0) ?? []) callback()
  }

  override expire(): void {
    if (this.#state === 'answering') this.#giveUpAnswer()
    else this.cutShort('deadline')
  }

  /** Its queue has found that it is over, possibly without any event. */
  override onDropped(): void {
    this.#ended()
    if (this.transport.closed === true) this.transport.destroy?.()
  }

  /** Closes the scope, and answers with the reason or cuts off the answer. */
  cutShort(reason: CutReason): void {
    if (this.#state !== 'open') return
    this.#cutReason = reason
    // The handler is done. The rest is read by the client, or waits for its turn on the connection.
    if (this.response.writableEnded) {
      void this.#scope?.close(reason)
      return
    }
    this.#state = 'answering'
    this.#context.answerDeadlines.add(this)
    this.onEnd(() => this.#answered())
    answerCutShortRequest(this, reason)
  }

  /** The time for the answer to a request that was cut short has passed. */
  #giveUpAnswer(): void {
    // A complete answer that waits behind another one is not cut off.
    if (!this.response.writableEnded || this.response.socket !== null) cutOffAnswer(this, true)
    if (this.response.socket === null) this.#ended()
  }

  #answered(): void {
    this.#state = 'done'
    this.queue?.remove(this)
    this.#lock?.seal()
    this.resumeEvents()
  }

  get canAnswer(): boolean {
    return this.#context.framework.canAnswer(this.responder, this.response)
  }

  sendError(lock: ResponseLock, error: Error): void {
    this.#context.framework.sendError(this.responder, lock, error)
  }

  takeFromHandler(): ResponseLock {
    return this.lockResponse(() => this.log('info', {}, 'the handler answered after its request had ended'))
  }

  lockResponse(onDropped: () => void): ResponseLock {
    this.#lock ??= new ResponseLock(this.response, onDropped)
    return this.#lock
  }

  resumeEvents(): void {
    // After the work that the framework does at the end of an answer.
    setImmediate(() => this.#scope?.resumeEvents())
  }

  log(level: 'info' | 'error', fields: object, message: string): void {
    this.#context.framework.logOf(this.request)[level](fields, message)
  }
}
