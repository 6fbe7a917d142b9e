/** A queue whose entries can leave from the middle: each entry knows its neighbours. */

/** An entry. Invariant: it is in one queue at most. */
export class Linked<Self extends Linked<Self>> {
  /** @internal */ queue: LinkedQueue<Self> | undefined
  /** @internal */ previous: Self | undefined
  /** @internal */ next: Self | undefined
}

/** First in, first out. Every method takes the same time, however long the queue is. */
export class LinkedQueue<Entry extends Linked<Entry>> {
  #first: Entry | undefined
  #last: Entry | undefined
  #size = 0

  get first(): Entry | undefined {
    return this.#first
  }

  get size(): number {
    return this.#size
  }

  /** Adds an entry that is in no queue. */
  push(entry: Entry): void {
    entry.queue = this
    entry.previous = this.#last
    if (this.#last === undefined) this.#first = entry
    else this.#last.next = entry
    this.#last = entry
    this.#size++
  }

  shift(): Entry | undefined {
    const first = this.#first
    if (first !== undefined) this.remove(first)
    return first
  }

  /** Removes an entry of this queue. */
  remove(entry: Entry): void {
    const { previous, next } = entry
    if (previous === undefined) this.#first = next
    else previous.next = next
    if (next === undefined) this.#last = previous
    else next.previous = previous
    entry.queue = undefined
    entry.previous = undefined
    entry.next = undefined
    this.#size--
  }
}
