/** One request and its response in any framework: their life becomes the life of a deadline and a scope. */

import type { ServerResponse } from 'node:http'
import type { CutReason } from '../close-reason.js'
import { errorOfReason, type Scope, type ScopeDeadline } from '../guard/scope.js'
import type { ResolvedRouteOptions } from '../options.js'
import { Expiring } from '../time/expiry-queue.js'
import type { Connection, Entry } from './connection.js'
import { readAhead } from './read-ahead.js'
import { TakenResponse } from './taken-response.js'
import { keepAlive } from './tcp-keep-alive.js'
import { cutOff, endConnectionWhenDestroyed, isGone, type Transport } from './transport.js'

/** What a request needs of the guard and of its framework. */
export interface Surroundings {
  /** Opens its scope. Throws when the guard is closed or its keeper is lost. */
  openScope(exchange: Exchange): Scope
  extend(exchange: Exchange, ms: number): void
  /** The time begins that the answer to a request which was cut short may take. */
  startAnswer(exchange: Exchange): void
  /** Whether an error can still be the answer. */
  canAnswer(exchange: Exchange): boolean
  /** Answers with an error, through the framework's own error handler. */
  answer(exchange: Exchange, taken: TakenResponse, error: Error): void
  log(exchange: Exchange, level: 'info' | 'error', fields: object, message: string): void
}

/** What a request is made of. */
export interface Parts {
  /** The framework's request. */
  readonly request: object
  /** Node's own response. */
  readonly response: ServerResponse
  /** What the framework answers by. */
  readonly answer: unknown
}

/** `done`: its answer is sent, or cannot be any more. */
type State = 'open' | 'answering' | 'done'

/** A request to which something has happened: it has a scope, waits for its turn, or is cut short. */
export class Exchange extends Expiring<Entry<Exchange>> implements Entry<Exchange>, ScopeDeadline, Parts {
  readonly request: object
  readonly response: ServerResponse
  readonly answer: unknown
  options: ResolvedRouteOptions
  /** Whether its route wants neither deadline nor subprocesses. */
  isUnguarded = false
  readonly #around: Surroundings
  readonly #connection: Connection<Exchange>
  /** Both are there when somebody waits for the end: most of a pipeline's requests are over before. */
  #whenOver: (() => void)[] | undefined
  #hear: (() => void) | undefined
  #scope: Scope | undefined
  #state: State = 'open'
  #cutReason: CutReason | undefined
  #readsAhead = false
  /** The response, when the answer is the guard's. */
  #taken: TakenResponse | undefined

  constructor(
    { request, response, answer }: Parts,
    options: ResolvedRouteOptions,
    connection: Connection<Exchange>,
    around: Surroundings
  ) {
    super()
    this.request = request
    this.response = response
    this.answer = answer
    this.options = options
    this.#connection = connection
    this.#around = around
  }

  get exchange(): this {
    return this
  }

  get #carrier(): Transport {
    return this.#connection.carrier
  }

  /** Its scope, opened when it is first asked for. Throws when the request is over. */
  get scope(): Scope {
    this.#scope ??= this.#openScope()
    return this.#scope
  }

  /** Its scope, if it has one. */
  get openedScope(): Scope | undefined {
    return this.#scope
  }

  #openScope(): Scope {
    if (this.#cutReason !== undefined) throw errorOfReason(this.#cutReason)
    if (this.response.writableEnded) throw errorOfReason('finished')
    if (this.isOver) throw errorOfReason('disconnected')
    const scope = this.#around.openScope(this)
    endConnectionWhenDestroyed(this.response, this.#carrier)
    this.onOver(() => {
      // HTTP/2 emits 'finish' for a stream that the client has cancelled, too: only `writableEnded` tells.
      const isAnswered = this.response.writableEnded
      // Listeners that answer when these commands end are too late.
      if (isAnswered && scope.isRunning) this.#takeFromHandler().done()
      void scope.close(isAnswered ? 'finished' : 'disconnected')
    })
    this.readAhead()
    keepAlive(this.response.req)
    return scope
  }

  /** Reads a body on that nobody reads, so that the end of the connection behind it is noticed. */
  readAhead(): void {
    if (this.#readsAhead) return
    this.#readsAhead = true
    readAhead(this.response.req, (end) => this.onOver(end))
  }

  /** The handler has failed: what it started ends, and must not answer before the error does. */
  fail(): void {
    const scope = this.#scope
    if (scope === undefined || scope.reason !== undefined) return
    scope.closeSilently('failed')
    this.onOver(() => this.#unhold())
  }

  extend(ms: number): void {
    this.#around.extend(this, ms)
  }

  override get isOver(): boolean {
    return this.response.writableFinished || this.response.destroyed || isGone(this.#carrier)
  }

  /** Calls back once when the response has ended or the connection is gone: of a response that waits behind another, Node tells nothing. */
  onOver(callback: () => void): void {
    this.#whenOver ??= []
    this.#whenOver.push(callback)
    if (this.#hear !== undefined) return
    this.#hear = () => this.#over()
    this.response.once('finish', this.#hear)
    this.response.once('close', this.#hear)
    this.#connection.onClose(this.#hear)
  }

  #over(): void {
    if (this.#hear === undefined) return
    this.response.off('finish', this.#hear)
    this.response.off('close', this.#hear)
    this.#connection.offClose(this.#hear)
    this.#hear = undefined
    for (const callback of this.#whenOver?.splice(0) ?? []) callback()
  }

  override expire(): void {
    if (this.#state === 'answering') this.#giveUp()
    else this.cutShort('deadline')
  }

  /** It was found to be over, perhaps with no event. */
  override onDropped(): void {
    this.#over()
    if (this.#carrier.closed === true) this.#carrier.destroy?.()
  }

  /** Ends what still runs: closes its scope, and answers with the reason or cuts the connection. */
  cutShort(reason: CutReason): void {
    if (this.#state !== 'open') return
    const { response } = this
    this.#cutReason = reason
    // The handler has done its part: what is left is for the client to read, or waits for its turn on the connection.
    if (response.writableEnded) {
      void this.#scope?.close(reason)
      return
    }
    this.#state = 'answering'
    this.#around.startAnswer(this)
    this.onOver(() => this.#finish())
    // First, or the handler would hear of the end of its commands.
    this.#scope?.hold()
    if (this.#around.canAnswer(this)) this.#answerWith(reason)
    else this.#letSayLastWord(reason)
  }

  #answerWith(reason: CutReason): void {
    const taken = this.#takeFromHandler()
    taken.onEnded = () => this.#unhold()
    void this.#scope?.close(reason)
    try {
      this.#around.answer(this, taken, errorOfReason(reason))
    } catch (err) {
      this.#around.log(this, 'error', { err }, 'the answer to a request that was cut short failed')
      this.#cut(true)
    }
  }

  /** The answer has begun: whoever listens to the scope's signal may end it, or say why it will not be whole. */
  #letSayLastWord(reason: CutReason): void {
    void this.#scope?.close(reason)
    setImmediate(() => {
      // A response that the listener has ended is sent as it is.
      if (!this.response.writableEnded) this.#cut(false)
    })
  }

  #takeFromHandler(): TakenResponse {
    return this.#take(() => {
      this.#around.log(this, 'info', {}, 'the handler answered after the end of its request')
    })
  }

  #take(onDropped: () => void): TakenResponse {
    this.#taken ??= new TakenResponse(this.response, onDropped)
    return this.#taken
  }

  /** Ends the connection, so that the client sees that the answer is not whole. */
  #cut(isFinal: boolean): void {
    this.#take(() => {}).run(() => cutOff(this.response, this.#carrier, isFinal))
  }

  /** The time for the answer has passed. */
  #giveUp(): void {
    // One that is complete may wait behind another request.
    if (!this.response.writableEnded || this.response.socket !== null) this.#cut(true)
    if (this.response.socket === null) this.#over()
  }

  #finish(): void {
    this.#state = 'done'
    this.queue?.remove(this)
    this.#taken?.done()
    this.#unhold()
  }

  /** No answer but that of the guard can come any more. */
  #unhold(): void {
    // The framework's own work after an answer comes first.
    setImmediate(() => this.#scope?.unhold())
  }
}
