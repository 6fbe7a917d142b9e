/** What the guard adds to the requests of Express: its own property, `req.subprocesses` and `req.spawn()`. */

import type { IncomingMessage } from 'node:http'
import type { Scope } from '../guard/scope.js'
import type { Logger } from '../log.js'
import type { Subprocess } from '../subprocess/subprocess.js'
import { type ExchangeRegistry, responderOf, unguardedError } from './exchange-registry.js'

/** A request of Node, with what Express and pino-http add to it. */
export interface ExpressRequest extends IncomingMessage {
  readonly app?: { readonly request?: object }
  readonly baseUrl?: string
  readonly route?: { readonly path?: unknown }
  readonly log?: Logger
}

export type ExpressExchanges = ExchangeRegistry<ExpressRequest, ExpressResponder>

export type Next = (error?: unknown) => void

/** How the guard answers a request: by the `next` of its middleware. It also links a request to its guard. */
export class ExpressResponder {
  readonly exchanges: ExpressExchanges
  readonly next: Next

  constructor(exchanges: ExpressExchanges, next: Next) {
    this.exchanges = exchanges
    this.next = next
  }
}

/** The property of a request's holder. All guards share it: `route()` finds the guard of a request by it. */
export const expressKey = Symbol('subprocess-guard')

/**
 * Not the request itself: Express sets the prototype of each request. Before Node 24, a property that is
 * added after that gives the object a hidden class of its own, and all access to it becomes slow. Two
 * properties took 15 % of a request's time.
 */
export function holderOf(request: IncomingMessage): object {
  return (request as { _readableState?: object })._readableState ?? request
}

/** Undefined if the request has not come through a guard. */
export function exchangesOf(request: ExpressRequest): ExpressExchanges | undefined {
  return (responderOf(holderOf(request), expressKey) as ExpressResponder | undefined)?.exchanges
}

const decorators: PropertyDescriptorMap & ThisType<ExpressRequest> = {
  subprocesses: {
    configurable: true,
    get(): Scope {
      const exchanges = exchangesOf(this)
      if (exchanges === undefined) throw unguardedError()
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

const decoratedPrototypes = new WeakSet<object>()

/** Decorates the prototype of the requests of an Express app or, without Express, each request by itself. */
export function decorate(request: ExpressRequest): void {
  if (decoratedPrototypes.has(Object.getPrototypeOf(request))) return
  const target = request.app?.request ?? request
  if (!Object.hasOwn(target, 'subprocesses')) Object.defineProperties(target, decorators)
  if (target !== request) decoratedPrototypes.add(target)
}
