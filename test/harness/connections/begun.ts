/** What handlers tell of their requests, so that a client can leave when they have begun. */

import { EventEmitter, once } from 'node:events'
import type { Scope } from 'fastify-subprocess-guard'
import { Witness } from '../witness.js'

/** Of the connections that run at the same time. */
export class Begun {
  readonly witness = new Witness()
  readonly #counts = new Map<string, number>()
  readonly #open = new Map<Scope, string>()
  readonly #told = new EventEmitter().setMaxListeners(0)

  /** The handler of a request with that name, `CONNECTION.REQUEST`, has done all it does before it answers. */
  tell(name: string): void {
    const [connection = ''] = name.split('.')
    this.#counts.set(connection, this.count(connection) + 1)
    this.#told.emit(connection)
  }

  /** A request has this scope. */
  note(scope: Scope, name: string): void {
    this.#open.set(scope, name)
    void scope.closed.then(() => {
      this.#open.delete(scope)
      this.#told.emit('closed')
    })
  }

  /** The requests whose scopes are open, of one connection or of all. */
  open(connection?: string): string[] {
    const names = [...this.#open.values()]
    return connection === undefined ? names : names.filter((name) => name.startsWith(`${connection}.`))
  }

  /** Resolves when no scope of the connection is open. Rejects when the signal is aborted. */
  async noneOpen(connection: string, signal: AbortSignal): Promise<void> {
    while (this.open(connection).length > 0) await once(this.#told, 'closed', { signal })
  }

  count(connection: string): number {
    return this.#counts.get(connection) ?? 0
  }

  /** Resolves when so many requests of the connection have begun. Rejects when the signal is aborted. */
  async until(connection: string, count: number, signal: AbortSignal): Promise<void> {
    while (this.count(connection) < count) await once(this.#told, connection, { signal })
  }
}
