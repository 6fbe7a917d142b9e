/** One connection: the deadline of the request that it serves now, and whoever is to hear of its end. */

import type { ServerResponse } from 'node:http'
import { Expiring } from '../time/expiry-queue.js'
import { onGone, type Transport } from './transport.js'

/** An entry in the lists of deadlines: a connection for its current request, or a request of its own. */
export interface Entry<Request> extends Expiring<Entry<Request>> {
  /** The request it stands for; undefined when that is over. */
  readonly exchange: Request | undefined
}

/** What a connection needs of all that is under way. */
export interface Current<Request extends Expiring<Entry<Request>>> {
  /** Whether a connection serves no request whose deadline is its own. */
  isIdle(carrier: Transport): boolean
  exchangeOn(connection: Connection<Request>): Request | undefined
}

/**
 * Most requests ask for nothing of the guard. Such a one is known by what Node notes of it anyway: a socket leads to the response
 * that it sends. So all that is written for a request is its deadline, here. Nothing of the request is held, which the
 * garbage collector would have to follow.
 */
export class Connection<Request extends Expiring<Entry<Request>>>
  extends Expiring<Entry<Request>>
  implements Entry<Request>
{
  readonly carrier: Transport
  readonly #current: Current<Request>
  /** Of all its requests, for one listener: there may be thousands in a pipeline. */
  #whenClosed: Set<() => void> | undefined

  constructor(carrier: Transport, current: Current<Request>) {
    super()
    this.carrier = carrier
    this.#current = current
  }

  /** The response that the connection sends now; the next ones of a pipeline wait behind it. Undefined in HTTP/2. */
  static responseOn(carrier: Transport): ServerResponse | undefined {
    return (carrier as { _httpMessage?: ServerResponse | null })._httpMessage ?? undefined
  }

  /** Calls back when the connection has ended, until that is taken back. */
  onClose(callback: () => void): void {
    if (this.#whenClosed === undefined) {
      const callbacks = new Set<() => void>()
      this.#whenClosed = callbacks
      onGone(this.carrier, () => {
        for (const callback of callbacks) callback()
      })
    }
    this.#whenClosed.add(callback)
  }

  offClose(callback: () => void): void {
    this.#whenClosed?.delete(callback)
  }

  get exchange(): Request | undefined {
    return this.#current.exchangeOn(this)
  }

  override get isOver(): boolean {
    return this.#current.isIdle(this.carrier)
  }

  override expire(): void {
    this.exchange?.expireIfDue()
  }

  override onDropped(): void {}
}
