/** Deadlines of any length: one expiry queue per length, and one for extended deadlines. */

import { type Expiring, ExpiryQueue } from './expiry-queue.js'

export class Deadlines<Entry extends Expiring<Entry>> {
  readonly #queues = new Map<number, ExpiryQueue<Entry>>()
  readonly #extended = new ExpiryQueue<Entry>(Number.POSITIVE_INFINITY)

  /** Gives the entry a deadline this many ms from now; `Infinity` for none. */
  start(entry: Entry, lengthMs: number): void {
    this.#queueOf(lengthMs).add(entry)
  }

  /** Gives the entry this exact deadline, in ms of `performance.now()`, in the queue of this length. */
  startAt(entry: Entry, deadlineAt: number, lengthMs: number): void {
    this.#queueOf(lengthMs).addAt(entry, deadlineAt)
  }

  /** Postpones the entry's deadline by this many ms. */
  extend(entry: Entry, ms: number): void {
    if (entry.deadlineAt !== Number.POSITIVE_INFINITY) this.#extended.addAt(entry, entry.deadlineAt + ms)
  }

  #queueOf(lengthMs: number): ExpiryQueue<Entry> {
    let queue = this.#queues.get(lengthMs)
    if (queue === undefined) {
      queue = new ExpiryQueue(lengthMs)
      this.#queues.set(lengthMs, queue)
    }
    return queue
  }

  /** The entries that are not over. */
  *[Symbol.iterator](): Generator<Entry> {
    for (const queue of this.#queues.values()) yield* queue
    yield* this.#extended
  }

  /** Removes all entries. */
  clear(): void {
    for (const queue of [...this.#queues.values(), this.#extended]) queue.clear()
  }
}
