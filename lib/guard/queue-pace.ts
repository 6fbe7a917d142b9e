/** How fast places have lately become free, to tell a client when to try again. */

// The weight of the latest interval in the average.
const weight = 0.2

export class QueuePace {
  #averageMs: number | undefined
  #since = performance.now()

  /** A place was taken without a wait: the time before that does not count, for nobody waited. */
  restart(): void {
    this.#since = performance.now()
  }

  /** A place has become free. */
  advance(): void {
    const now = performance.now()
    const intervalMs = now - this.#since
    const averageMs = this.#averageMs ?? intervalMs
    this.#averageMs = averageMs + weight * (intervalMs - averageMs)
    this.#since = now
  }

  /** The expected time until so many places have become free, in whole seconds; at least 1. */
  secondsFor(places: number): number {
    // If no place becomes free any more, the average is too good.
    const silentMs = performance.now() - this.#since
    const expectedMs = Math.max((this.#averageMs ?? 0) * places, silentMs)
    return Math.max(1, Math.ceil(expectedMs / 1_000))
  }
}
