/** A scope at the keeper: its record of processes, how it was opened, and its deadline. */

import type { ScopeRecord } from '../containment/scope-record.js'
import { Expiring, type ExpiryQueue } from '../time/expiry-queue.js'
import { ownTimeOf } from '../time/shared-clock.js'
import type { KeeperReport, ScopeOpening } from '../wire/messages.js'

// The worker closes its scopes at their deadlines itself. Only the worker knows that a request has just
// finished, or that a deadline was just extended. So the keeper acts a little later, when the worker has not.
const leewayMs = 50

export class KeeperScope extends Expiring<KeeperScope> {
  readonly record: ScopeRecord
  readonly opening: ScopeOpening
  readonly openedAt = performance.now()
  /** Set when the scope begins to close. Resolves when its processes are gone or reported as survivors. */
  ending: Promise<KeeperReport> | undefined
  /** Whether a report on everything that was ended (`endEverything`) includes this scope. */
  isReported = false
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

  /** Sets the deadline, in ms by the clock that all processes share, or removes it (undefined). */
  setDeadline(sharedMs: number | undefined): void {
    this.#deadlineAt = sharedMs === undefined ? undefined : ownTimeOf(sharedMs)
    if (this.#deadlineAt === undefined) this.queue?.remove(this)
    else this.#deadlines.addAt(this, this.#deadlineAt + leewayMs)
  }

  /** The time to the deadline, in ms; negative once it has passed, undefined without one. */
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
