/** Whether the keeper may do what its worker orders: only as long as the worker has the rights that it started the keeper with. */

import { Rights } from '../platform/current.js'
import type { WorkerMessage } from '../wire/messages.js'

// How often the worker is looked at that has hooks: it may be gone, and cannot be asked, when they are run.
const lookMs = 1_000

// By the others the worker learns something, or ends sooner what its scopes have.
const ordersThatUseRights = new Set<WorkerMessage['type']>([
  'settings',
  'add-hooks',
  'launch',
  'reopen-stdio-server',
  'signal',
  'adopt',
  'release',
  'release-adopted',
  'add-folder',
  'adopter'
])

const lastOrders = new Set<WorkerMessage['type']>(['release', 'release-adopted', 'add-folder'])

export class WorkerRights {
  readonly #worker: number
  readonly #isWorkerGone: () => boolean
  readonly #onOver: () => void
  /** What the worker had at the start; undefined where it has nothing to give up. */
  #rights: string | undefined
  #present: Rights | undefined
  #isOver = false
  /** Whether the worker was looked at since what is being carried out was read. */
  #isConfirmed = false
  #looks: NodeJS.Timeout | undefined

  /** `onOver` is called once, when the worker's rights are others. */
  constructor(worker: number, isWorkerGone: () => boolean, onOver: () => void) {
    this.#worker = worker
    this.#isWorkerGone = isWorkerGone
    this.#onOver = onOver
  }

  /**
   * Takes the rights that the worker had when it started the keeper: its first message, and no later one. Returns false where the
   * worker's rights are hidden, and no change of them will be noticed.
   */
  begin(rights: string): boolean {
    if (this.#rights !== undefined) return true
    this.#present = Rights.of(this.#worker)
    if (this.#present !== undefined) this.#rights = rights
    return this.#present !== undefined
  }

  /** More orders were read: the worker may have changed its rights before it wrote them. */
  askAgain(): void {
    this.#isConfirmed = false
  }

  end(): void {
    if (this.#isOver) return
    this.#isOver = true
    clearInterval(this.#looks)
    this.#onOver()
  }

  /** Whether an order is to be carried out. What was ordered after a change is read after it. */
  covers(message: WorkerMessage): boolean {
    if (!usesRights(message)) return true
    if (message.type === 'signal' && (message.signal === 'SIGTERM' || message.signal === 'SIGKILL'))
      return true
    if (this.holds()) return true
    // Of a worker that is gone these are the last: they reach nothing but what its scopes have, and their folders.
    return !this.#isOver && lastOrders.has(message.type)
  }

  /** Whether the worker has the rights still. Of one that is gone nobody knows. */
  holds(): boolean {
    if (this.#isOver || this.#isConfirmed || this.#rights === undefined) return !this.#isOver
    const rights = this.#present?.read()
    if (this.#isWorkerGone()) return false
    if (rights !== this.#rights) this.end()
    this.#isConfirmed = true
    return !this.#isOver
  }

  /** Whether hooks may be run, as far as is known: of a worker that is gone, what was seen last. */
  get coversHooks(): boolean {
    this.askAgain()
    return this.holds() || (this.#isWorkerGone() && !this.#isOver)
  }

  /** Looks at the worker from time to time. */
  watch(): void {
    if (this.#rights === undefined || this.#isOver) return
    this.#looks ??= setInterval(() => {
      this.askAgain()
      this.holds()
    }, lookMs).unref()
  }
}

/** To inherit a scope is to look for what a lost keeper has started with these rights. */
function usesRights(message: WorkerMessage): boolean {
  return ordersThatUseRights.has(message.type) || (message.type === 'open' && message.isInherited === true)
}
