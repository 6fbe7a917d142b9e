/** Expiry queues: one timer for all deadlines of one length, since these expire in the order they were made. */

import { turnMs } from './event-loop-turns.js'

// How often entries that are over are let go, in ms. Until then they hold a request that has ended.
const sweepMs = 1_000

/** Something with a deadline. It is in one queue at most. */
export abstract class Expiring<Self extends Expiring<Self>> {
  /** By the clock of `performance.now()`, in ms. */
  deadlineAt = 0
  /** @internal When its queue looks at it: at its deadline, or before it where that was put off since. */
  checkAt = 0
  /** @internal */ queue: ExpiryQueue<Self> | undefined
  /** @internal */ previous: Self | undefined
  /** @internal */ next: Self | undefined

  /** Whether it ended by itself and needs its deadline no more. */
  abstract get isOver(): boolean
  /** The deadline has passed and it is not over. */
  abstract expire(): void
  /** It was over, and is in no queue any more. */
  abstract onDropped(): void

  /** Expires where its time has come, and its turn among thousands has not: nothing may happen to it before. */
  expireIfDue(): void {
    if (this.queue === undefined || this.isOver || this.deadlineAt > performance.now()) return
    this.queue.remove(this as unknown as Self)
    this.expire()
  }
}

/**
 * Deadlines of one length, in the order in which they are to be looked at. To add one is to write a few fields: no timer is
 * set for it, and nothing needs to be done when it is over, since an entry is only looked at when its time has come
 * or at a sweep. To renew one is to write two: it stays in its place, and is put where it belongs when that is looked at.
 */
export class ExpiryQueue<Entry extends Expiring<Entry>> {
  /** How long the deadlines are, in ms. `Infinity`: the queue then only remembers what is under way. */
  readonly lengthMs: number
  #first: Entry | undefined
  #last: Entry | undefined
  #timer: NodeJS.Timeout | undefined
  #immediate: NodeJS.Immediate | undefined

  constructor(lengthMs: number) {
    this.lengthMs = lengthMs
  }

  /** Gives the entry a new deadline from now, whichever queue it was in: one that is here already is renewed. */
  add(entry: Entry): void {
    entry.deadlineAt = performance.now() + this.lengthMs
    if (entry.queue === this) return
    entry.queue?.remove(entry)
    entry.checkAt = entry.deadlineAt
    this.#insertAfter(this.#last, entry)
    if (this.#timer === undefined) this.#setTimer()
    this.#dropFirst(entry)
  }

  /** Two that are over, or else a long pipeline would grow old in here before the next sweep, at a cost to the garbage collector. */
  #dropFirst(added: Entry): void {
    for (let count = 0; count < 2; count++) {
      const first = this.#first
      if (first === undefined || first === added || !first.isOver) return
      this.remove(first)
      first.onDropped()
    }
  }

  /** Gives the entry that very deadline. Unlike `add`, it looks for its place among the others. */
  addAt(entry: Entry, deadlineAt: number): void {
    entry.queue?.remove(entry)
    entry.deadlineAt = deadlineAt
    if (this.#insert(entry)) this.#setTimer()
  }

  /** Where its deadline belongs. Returns whether it is the first now. */
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
    // What is done to one may move another to another queue.
    for (const entry of entries) if (!entry.isOver) yield entry
  }

  /** Forgets all deadlines. */
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
    this.#timer = setTimeout(() => this.#look(), Math.min(leftMs, sweepMs))
    // To sweep is no reason for a worker to stay.
    if (leftMs === Number.POSITIVE_INFINITY) this.#timer.unref()
  }

  #look(): void {
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
        // Thousands that expire at once would block the loop for all others.
        if (performance.now() - now > turnMs) {
          this.#immediate = setImmediate(() => this.#look())
          return
        }
        // That may have moved the next one to another queue. What has expired comes first, so look from there.
        entry = this.#first
      } else {
        if (entry.checkAt <= now) {
          // It was renewed since.
          this.remove(entry)
          this.#insert(entry)
        }
        entry = next
      }
    }
    this.#setTimer()
  }
}
