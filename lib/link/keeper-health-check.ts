/** While something is asked of the keeper, it has to show that it is there: one that is stopped, or stuck, is given up. */

// How long it may be silent that was asked for a sign of life, and how often it is asked. The time that it waits for a processor does
// not count up to the second bound: when ten thousand processes die at once, they have all of the processors.
const stuckAfterMs = 10_000
const starvedAfterMs = 60_000
const pingMs = 2_000

export interface KeeperHealthCheckParts {
  /** Whether something is asked of the keeper that it has to answer. */
  readonly isWaiting: () => boolean
  /** It has time until it is ready. */
  readonly isStarting: () => boolean
  /** How long it has waited for a processor since its start, in ms; undefined where that cannot be told. */
  readonly waitedMs: () => number | undefined
  readonly ping: () => void
  readonly giveUp: () => void
}

export class KeeperHealthCheck {
  readonly #parts: KeeperHealthCheckParts
  #heardAt = 0
  #timer: NodeJS.Timeout | undefined

  constructor(parts: KeeperHealthCheckParts) {
    this.#parts = parts
  }

  /** The keeper has said something. */
  heard(): void {
    this.#heardAt = performance.now()
  }

  /** Something is asked of it. */
  begin(): void {
    if (this.#timer !== undefined) return
    let since = performance.now()
    let lastLookAt = since
    let silentSince = 0
    let waitedBefore = 0
    this.#timer = setInterval(() => {
      const { isWaiting, isStarting, waitedMs, ping, giveUp } = this.#parts
      const now = performance.now()
      // Where this event loop was blocked, the answers wait to be read.
      if (now - lastLookAt > 2 * pingMs || isStarting()) since = now
      lastLookAt = now
      if (!isWaiting()) {
        this.#end()
        return
      }
      const waited = waitedMs() ?? 0
      const heardAt = Math.max(this.#heardAt, since)
      if (heardAt !== silentSince) [silentSince, waitedBefore] = [heardAt, waited]
      const silentMs = now - silentSince
      const starvedMs = waited - waitedBefore
      if (silentMs - starvedMs > stuckAfterMs || silentMs > starvedAfterMs) giveUp()
      else ping()
    }, pingMs).unref()
  }

  #end(): void {
    clearInterval(this.#timer)
    this.#timer = undefined
  }
}
