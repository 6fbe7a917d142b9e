/** One connection: the deadline of the request that it serves now, and who is called when it ends. */

import type { ServerResponse } from 'node:http'
import { Expiring } from '../time/expiry-queue.js'
import { onDisconnect } from './client-disconnect.js'
import type { Transport } from './transport.js'

/** An entry in the deadline queues: a connection for its current request, or an exchange for itself. */
export interface DeadlineEntry<Exchange> extends Expiring<DeadlineEntry<Exchange>> {
  /** The exchange of the request; undefined if the request is over. */
  readonly exchange: Exchange | undefined
}

/** Finds the request that a connection serves now. */
export interface CurrentRequestLookup<Exchange extends Expiring<DeadlineEntry<Exchange>>> {
  /** Whether the connection serves no request that uses the deadline of the connection. */
  isIdle(transport: Transport): boolean
  exchangeOn(connection: Connection<Exchange>): Exchange | undefined
}

/**
 * Most requests never use the guard, and get no object of their own. Their deadline is kept here. When it
 * passes, the request is found through Node: a socket refers to the response that it sends. The connection
 * does not refer to the request, which would be one more reference for the garbage collector to trace.
 */
export class Connection<Exchange extends Expiring<DeadlineEntry<Exchange>>>
  extends Expiring<DeadlineEntry<Exchange>>
  implements DeadlineEntry<Exchange>
{
  readonly transport: Transport
  readonly #currentRequest: CurrentRequestLookup<Exchange>
  /** Called by a single listener on the transport: there may be thousands of requests in a pipeline. */
  #closeCallbacks: Set<() => void> | undefined

  constructor(transport: Transport, currentRequest: CurrentRequestLookup<Exchange>) {
    super()
    this.transport = transport
    this.#currentRequest = currentRequest
  }

  /** The response that the connection sends now; others of a pipeline wait behind it. Undefined in HTTP/2. */
  static responseOn(transport: Transport): ServerResponse | undefined {
    return (transport as { _httpMessage?: ServerResponse | null })._httpMessage ?? undefined
  }

  /** Calls back when the connection has ended, unless `offClose` was called. */
  onClose(callback: () => void): void {
    if (this.#closeCallbacks === undefined) {
      const callbacks = new Set<() => void>()
      this.#closeCallbacks = callbacks
      onDisconnect(this.transport, () => {
        for (const callback of callbacks) callback()
      })
    }
    this.#closeCallbacks.add(callback)
  }

  offClose(callback: () => void): void {
    this.#closeCallbacks?.delete(callback)
  }

  get exchange(): Exchange | undefined {
    return this.#currentRequest.exchangeOn(this)
  }

  override get isOver(): boolean {
    return this.#currentRequest.isIdle(this.transport)
  }

  override expire(): void {
    this.exchange?.expireIfDue()
  }

  override onDropped(): void {}
}
