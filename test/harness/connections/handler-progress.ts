/** The progress of handlers, so that a client can leave when they have begun. */

import { EventEmitter, once } from 'node:events'
import type { Scope } from 'fastify-subprocess-guard'
import { Witness } from '../witness.js'

/** The handlers of all connections that run at the same time. */
export class HandlerProgress {
  readonly witness = new Witness()
  readonly #counts = new Map<string, number>()
  readonly #open = new Map<Scope, string>()
  readonly #events = new EventEmitter().setMaxListeners(0)

  /** The handler of this request, `CONNECTION.REQUEST`, has done everything it does before it answers. */
  begin(name: string): void {
    const [connection = ''] = name.split('.')
    this.#counts.set(connection, this.count(connection) + 1)
    this.#events.emit(connection)
  }

  /** Registers the scope of a request. */
  track(scope: Scope, name: string): void {
    this.#open.set(scope, name)
    void scope.closed.then(() => {
      this.#open.delete(scope)
      this.#events.emit('closed')
    })
  }

  /** The requests with open scopes, of one connection or of all. */
  openRequests(connection?: string): string[] {
    const names = [...this.#open.values()]
    return connection === undefined ? names : names.filter((name) => name.startsWith(`${connection}.`))
  }

  /** Resolves when the connection has no open scope. Rejects if the signal is aborted. */
  async allClosed(connection: string, signal: AbortSignal): Promise<void> {
    while (this.openRequests(connection).length > 0) await once(this.#events, 'closed', { signal })
  }

  count(connection: string): number {
    return this.#counts.get(connection) ?? 0
  }

  /** Resolves when so many requests of the connection have begun. Rejects if the signal is aborted. */
  async untilBegun(connection: string, count: number, signal: AbortSignal): Promise<void> {
    while (this.count(connection) < count) await once(this.#events, connection, { signal })
  }
}
