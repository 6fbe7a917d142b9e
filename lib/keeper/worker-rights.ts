/**
 * Whether the keeper may carry out an order: only while the worker has the users, groups and capabilities
 * that it had when it started the keeper. Otherwise a worker that gave up root could act as root through it.
 */

import { type ProcessRights, platform } from '../platform/current.js'
import type { WorkerMessage } from '../wire/messages.js'

// How often a worker with hooks is checked: hooks may run after its end, when its rights cannot be read.
const checkMs = 1_000

// All other orders only inform the worker, or end the processes of its scopes sooner.
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

const ordersAllowedAfterEnd = new Set<WorkerMessage['type']>(['release', 'release-adopted', 'add-folder'])

export class WorkerRights {
  readonly #worker: number
  readonly #isWorkerGone: () => boolean
  readonly #onRevoked: () => void
  /** The rights of the worker at the start; undefined when it has none to give up. */
  #initial: string | undefined
  #current: ProcessRights | undefined
  #isRevoked = false
  /** Whether the worker's rights were read after the orders that are now being carried out had arrived. */
  #isConfirmed = false
  #checks: NodeJS.Timeout | undefined

  /** `onRevoked` is called once, when the worker's rights have changed. */
  constructor(worker: number, isWorkerGone: () => boolean, onRevoked: () => void) {
    this.#worker = worker
    this.#isWorkerGone = isWorkerGone
    this.#onRevoked = onRevoked
  }

  /**
   * Sets the rights that the worker had when it started the keeper. Only the first call counts. Returns false
   * when the worker's rights cannot be read, so that changes will not be noticed.
   */
  setInitial(rights: string): boolean {
    if (this.#initial !== undefined) return true
    this.#current = platform.openRights(this.#worker)
    if (this.#current !== undefined) this.#initial = rights
    return this.#current !== undefined
  }

  /** New orders have arrived: the worker may have changed its rights before it wrote them. */
  invalidate(): void {
    this.#isConfirmed = false
  }

  /** From here on no order that uses rights is allowed. */
  revoke(): void {
    if (this.#isRevoked) return
    this.#isRevoked = true
    clearInterval(this.#checks)
    this.#onRevoked()
  }

  /** Whether an order may be carried out. An order that was written after a change is also read after it. */
  allows(message: WorkerMessage): boolean {
    if (!usesRights(message)) return true
    if (message.type === 'signal' && (message.signal === 'SIGTERM' || message.signal === 'SIGKILL'))
      return true
    if (this.areUnchanged()) return true
    // The last orders of a worker that is gone: they only affect what its scopes already have.
    return !this.#isRevoked && ordersAllowedAfterEnd.has(message.type)
  }

  /** Whether the worker still has its initial rights. False when it is gone: they cannot be read then. */
  areUnchanged(): boolean {
    if (this.#isRevoked || this.#isConfirmed || this.#initial === undefined) return !this.#isRevoked
    const rights = this.#current?.read()
    if (this.#isWorkerGone()) return false
    if (rights !== this.#initial) this.revoke()
    this.#isConfirmed = true
    return !this.#isRevoked
  }

  /** Whether hooks may run. For a worker that is gone, the last check decides. */
  get allowsHooks(): boolean {
    this.invalidate()
    return this.areUnchanged() || (this.#isWorkerGone() && !this.#isRevoked)
  }

  /** Checks the worker's rights every second from now on. */
  checkRegularly(): void {
    if (this.#initial === undefined || this.#isRevoked) return
    this.#checks ??= setInterval(() => {
      this.invalidate()
      this.areUnchanged()
    }, checkMs).unref()
  }
}

/**
 * To open an inherited scope, the keeper searches for processes that a lost keeper started with these rights.
 */
function usesRights(message: WorkerMessage): boolean {
  return ordersThatUseRights.has(message.type) || (message.type === 'open' && message.isInherited === true)
}
