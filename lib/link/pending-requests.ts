/** Requests that the keeper has not answered yet: each keeps the worker's event loop alive until then. */

import type { ScopeProcess } from '../platform/current.js'
import type { EndedProcess, KeeperMessage, KeeperReport, ListedMessage } from '../wire/messages.js'
import type { KeeperChannel } from './keeper-channel.js'
import type { KeeperHealthCheck } from './keeper-health-check.js'
import { nextRequestId } from './sequence-numbers.js'

export class PendingRequests {
  readonly #channel: KeeperChannel
  readonly #healthCheck: KeeperHealthCheck
  /** By the number of the scope. */
  readonly #closing = new Map<number, (report: KeeperReport | undefined) => void>()
  readonly #lists = new Map<number, (answer: ListedMessage) => void>()
  readonly #terminating = new Map<number, (processes: readonly EndedProcess[] | undefined) => void>()
  readonly #addingHooks = new Map<number, (why: string | undefined) => void>()
  readonly #pings = new Map<number, () => void>()

  constructor(channel: KeeperChannel, healthCheck: KeeperHealthCheck) {
    this.#channel = channel
    this.#healthCheck = healthCheck
  }

  get any(): boolean {
    const all = [this.#closing, this.#lists, this.#terminating, this.#addingHooks, this.#pings]
    return all.some(({ size }) => size > 0)
  }

  /** See `KeeperLink.closeScope`. */
  closeScope(scope: number): Promise<KeeperReport | undefined> {
    return this.#answer((resolve) => {
      this.#closing.set(scope, resolve)
      this.#channel.send({ type: 'close', scope })
    })
  }

  /** See `KeeperLink.terminate`. */
  terminate(
    scope: number,
    command: number,
    killSignal: NodeJS.Signals
  ): Promise<readonly EndedProcess[] | undefined> {
    return this.#answer((resolve) => {
      const id = nextRequestId()
      this.#terminating.set(id, resolve)
      this.#channel.send({ type: 'terminate', id, scope, command, killSignal })
    })
  }

  /** See `KeeperLink.list`. */
  list(scope: number): Promise<readonly ScopeProcess[]> {
    return this.#answer((resolve, reject) => {
      const id = nextRequestId()
      this.#lists.set(id, (answer) => {
        if (answer.why === undefined) resolve(answer.processes)
        else reject(listError(answer.why))
      })
      this.#channel.send({ type: 'list', id, scope })
    })
  }

  /** See `KeeperLink.addHooks`. */
  addHooks(url: string): Promise<void> {
    return this.#answer((resolve, reject) => {
      const id = nextRequestId()
      this.#addingHooks.set(id, (why) => (why === undefined ? resolve() : reject(new Error(why))))
      this.#channel.send({ type: 'add-hooks', id, url })
    })
  }

  /** See `KeeperLink.heardAll`. */
  ping(): Promise<void> {
    return this.#answer((resolve) => {
      const id = nextRequestId()
      this.#pings.set(id, resolve)
      this.#channel.send({ type: 'ping', id })
    })
  }

  /** Resolves the request that the message answers. */
  receive(
    message: KeeperMessage & { type: 'listed' | 'terminated' | 'hooks-added' | 'pong' | 'closed' }
  ): void {
    switch (message.type) {
      case 'listed':
        this.#lists.get(message.id)?.(message)
        this.#lists.delete(message.id)
        break
      case 'terminated':
        this.#terminating.get(message.id)?.(message.processes)
        this.#terminating.delete(message.id)
        break
      case 'hooks-added':
        this.#addingHooks.get(message.id)?.(message.why)
        this.#addingHooks.delete(message.id)
        break
      case 'pong':
        if (message.id === undefined) break
        this.#pings.get(message.id)?.()
        this.#pings.delete(message.id)
        break
      case 'closed':
        this.#closing.get(message.scope)?.(message.report)
        this.#closing.delete(message.scope)
    }
  }

  /** The keeper is lost: resolves every request without an answer. */
  abandonAll(): void {
    for (const [id, answer] of this.#lists) answer({ type: 'listed', id, processes: [] })
    this.#lists.clear()
    for (const resolve of this.#terminating.values()) resolve(undefined)
    this.#terminating.clear()
    for (const answer of this.#addingHooks.values()) answer('the keeper ended unexpectedly')
    this.#addingHooks.clear()
    for (const resolve of this.#closing.values()) resolve(undefined)
    this.#closing.clear()
    for (const resolve of this.#pings.values()) resolve()
    this.#pings.clear()
  }

  #answer<Result>(
    ask: (resolve: (result: Result) => void, reject: (error: Error) => void) => void
  ): Promise<Result> {
    // Send first: processes may have to end because of it.
    const answer = new Promise<Result>(ask)
    this.#channel.ref()
    this.#healthCheck.start()
    return answer.finally(() => this.#channel.unref())
  }
}

function listError({
  code,
  message
}: {
  readonly code?: string | undefined
  readonly message: string
}): Error {
  const error = new Error(`the keeper could not list the processes of the scope: ${message}`)
  return code === undefined ? error : Object.assign(error, { code })
}
