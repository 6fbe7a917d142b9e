/** A scope at the keeper: its processes, whose they are, and its deadline. */

import type { ScopeRecord } from '../containment/scope-record.js'
import { Expiring, type ExpiryQueue } from '../time/expiry-queue.js'
import { ownTimeOf } from '../time/shared-clock.js'
import type { KeeperReport, ScopeOpening } from '../wire/messages.js'

// The worker closes its scopes at their deadlines by itself, and knows of one that was just extended or has just
// finished. The keeper acts where it does not.
const leewayMs = 50

export class KeeperScope extends Expiring<KeeperScope> {
  readonly record: ScopeRecord
  readonly opening: ScopeOpening
  readonly openedAt = performance.now()
  /** Resolves with what was found, when all of it is gone. Set when the scope begins to close. */
  ending: Promise<KeeperReport> | undefined
  /** Whether its end is in the report of all. */
  isTold = false
  readonly #onDeadline: (scope: KeeperScope) => void
  readonly #deadlines: ExpiryQueue<KeeperScope>
  #deadlineAt: number | undefined

  constructor(
    record: ScopeRecord,
    opening: ScopeOpening,
    deadlines: ExpiryQueue<KeeperScope>,
    onDeadline: (scope: KeeperScope) => void
  ) {
    super()
    this.record = record
    this.opening = opening
    this.#deadlines = deadlines
    this.#onDeadline = onDeadline
    this.setDeadline(opening.deadlineAt)
  }

  /** By the clock that all processes share, in ms; undefined for none. */
  setDeadline(sharedMs: number | undefined): void {
    this.#deadlineAt = sharedMs === undefined ? undefined : ownTimeOf(sharedMs)
    if (this.#deadlineAt === undefined) this.queue?.remove(this)
    else this.#deadlines.addAt(this, this.#deadlineAt + leewayMs)
  }

  /** How long it is to the deadline, in ms; undefined without one. */
  get deadlineInMs(): number | undefined {
    return this.#deadlineAt === undefined ? undefined : this.#deadlineAt - performance.now()
  }

  override get isOver(): boolean {
    return this.ending !== undefined
  }

  override expire(): void {
    this.#onDeadline(this)
  }

  override onDropped(): void {}
}
