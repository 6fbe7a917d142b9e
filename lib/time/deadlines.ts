/** Deadlines of any length: one expiry queue per length, and one for extended deadlines. */

import { type Expiring, ExpiryQueue } from './expiry-queue.js'

/** Deadlines of every length: a queue for each, and one more for those that were extended. */
export class Deadlines<Entry extends Expiring<Entry>> {
  readonly #queues = new Map<number, ExpiryQueue<Entry>>()
  readonly #extended = new ExpiryQueue<Entry>(Number.POSITIVE_INFINITY)

  /** Gives the entry a deadline so many ms from now; `Infinity` for none. */
  start(entry: Entry, lengthMs: number): void {
    this.#queueOf(lengthMs).add(entry)
  }

  /** Gives the entry that very deadline, in the queue of those that are so many ms long. */
  startAt(entry: Entry, deadlineAt: number, lengthMs: number): void {
    this.#queueOf(lengthMs).addAt(entry, deadlineAt)
  }

  /** Puts the deadline of an entry off by so many ms. */
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

  clear(): void {
    for (const queue of [...this.#queues.values(), this.#extended]) queue.clear()
  }
}
