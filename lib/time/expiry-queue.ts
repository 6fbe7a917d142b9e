/** A queue of deadlines of one length, with one timer: they expire in the order in which they were set. */

import { turnMs } from './event-loop-turns.js'

// How often entries that are over are removed, in ms. Until then they retain a request that has ended.
const sweepMs = 1_000

/** Something with a deadline. Invariant: it is in one queue at most. */
export abstract class Expiring<Self extends Expiring<Self>> {
  /** In ms of `performance.now()`. */
  deadlineAt = 0
  /** @internal When the queue checks the entry: at its deadline, or earlier if that was postponed since. */
  checkAt = 0
  /** @internal */ queue: ExpiryQueue<Self> | undefined
  /** @internal */ previous: Self | undefined
  /** @internal */ next: Self | undefined

  /** Whether the entry has ended by itself and no longer needs its deadline. */
  abstract get isOver(): boolean
  /** Called when the deadline has passed and the entry is not over. */
  abstract expire(): void
  /** Called when the queue has removed the entry because it is over. */
  abstract onDropped(): void

  /** Expires now if the deadline has passed and the queue, busy with thousands of others, is late. */
  expireIfDue(): void {
    if (this.queue === undefined || this.isOver || this.deadlineAt > performance.now()) return
    this.queue.remove(this as unknown as Self)
    this.expire()
  }
}

/**
 * A linked list in the order of `checkAt`. Adding an entry only sets a few fields: there is no timer per
 * entry, and no call for an entry that is over, since the queue finds it at its deadline or at the next
 * sweep. Renewing an entry only sets its deadline: the entry keeps its place until the queue checks it and
 * moves it to where it belongs.
 */
export class ExpiryQueue<Entry extends Expiring<Entry>> {
  /** The length of the deadlines, in ms. With `Infinity` nothing expires unless it was added by `addAt`. */
  readonly lengthMs: number
  #first: Entry | undefined
  #last: Entry | undefined
  #timer: NodeJS.Timeout | undefined
  #immediate: NodeJS.Immediate | undefined

  constructor(lengthMs: number) {
    this.lengthMs = lengthMs
  }

  /** Gives the entry a new deadline, counted from now. An entry of another queue is moved to this one. */
  add(entry: Entry): void {
    entry.deadlineAt = performance.now() + this.lengthMs
    if (entry.queue === this) return
    entry.queue?.remove(entry)
    entry.checkAt = entry.deadlineAt
    this.#insertAfter(this.#last, entry)
    if (this.#timer === undefined) this.#setTimer()
    this.#dropOldest(entry)
  }

  /**
   * Removes up to two entries that are over. With many short requests, entries would otherwise survive until
   * the next sweep, reach the old generation, and cost the garbage collector more.
   */
  #dropOldest(added: Entry): void {
    for (let count = 0; count < 2; count++) {
      const first = this.#first
      if (first === undefined || first === added || !first.isOver) return
      this.remove(first)
      first.onDropped()
    }
  }

  /** Gives the entry this exact deadline. Unlike `add`, it searches for the place of the entry. */
  addAt(entry: Entry, deadlineAt: number): void {
    entry.queue?.remove(entry)
    entry.deadlineAt = deadlineAt
    if (this.#insert(entry)) this.#setTimer()
  }

  /** Inserts the entry in order. Returns whether it is now the first. */
  #insert(entry: Entry): boolean {
    entry.checkAt = entry.deadlineAt
    let earlier = this.#last
    while (earlier !== undefined && earlier.checkAt > entry.checkAt) earlier = earlier.previous
    this.#insertAfter(earlier, entry)
    return earlier === undefined
  }

  #insertAfter(earlier: Entry | undefined, entry: Entry): void {
    const later = earlier === undefined ? this.#first : earlier.next
    entry.queue = this
    entry.previous = earlier
    entry.next = later
    if (earlier === undefined) this.#first = entry
    else earlier.next = entry
    if (later === undefined) this.#last = entry
    else later.previous = entry
  }

  remove(entry: Entry): void {
    const { previous, next } = entry
    if (previous === undefined) this.#first = next
    else previous.next = next
    if (next === undefined) this.#last = previous
    else next.previous = previous
    entry.previous = undefined
    entry.next = undefined
    entry.queue = undefined
  }

  /** The entries that are not over. */
  *[Symbol.iterator](): Generator<Entry> {
    const entries: Entry[] = []
    for (let entry = this.#first; entry !== undefined; entry = entry.next) entries.push(entry)
    // A copy: the caller may move other entries to another queue.
    for (const entry of entries) if (!entry.isOver) yield entry
  }

  /** Removes all entries. */
  clear(): void {
    clearTimeout(this.#timer)
    clearImmediate(this.#immediate)
    this.#timer = undefined
    while (this.#first !== undefined) this.remove(this.#first)
  }

  #setTimer(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    const first = this.#first
    if (first === undefined) return
    const leftMs = Math.max(first.checkAt - performance.now(), 0)
    this.#timer = setTimeout(() => this.#check(), Math.min(leftMs, sweepMs))
    // A timer that only sweeps does not keep the worker alive.
    if (leftMs === Number.POSITIVE_INFINITY) this.#timer.unref()
  }

  #check(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    const now = performance.now()
    for (let entry = this.#first; entry !== undefined; ) {
      const { next } = entry
      if (entry.isOver) {
        this.remove(entry)
        entry.onDropped()
        entry = next
      } else if (entry.deadlineAt <= now) {
        this.remove(entry)
        entry.expire()
        // Thousands of entries that expire at once would block the event loop: continue in the next turn.
        if (performance.now() - now > turnMs) {
          this.#immediate = setImmediate(() => this.#check())
          return
        }
        // The call may have moved the next entry to another queue. Expired entries come first, so start over.
        entry = this.#first
      } else {
        if (entry.checkAt <= now) {
          // It was renewed: move it to its place.
          this.remove(entry)
          this.#insert(entry)
        }
        entry = next
      }
    }
    this.#setTimer()
  }
}
