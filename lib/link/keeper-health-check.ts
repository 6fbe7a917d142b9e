/** Detects a keeper that is stopped or stuck: while requests are unanswered, it must respond to pings. */

// How long the keeper may be silent, and how often it is pinged, in ms. Up to the second limit, time in which
// the keeper waits for a processor does not count: when ten thousand processes die at once, they occupy all
// processors.
const stuckAfterMs = 10_000
const starvedAfterMs = 60_000
const pingMs = 2_000

export interface KeeperHealthCheckParts {
  /** Whether the keeper has yet to answer something. */
  readonly isWaiting: () => boolean
  /**
   * Whether the keeper is still starting. Its silence then does not count: its start has a timeout of its
   * own.
   */
  readonly isStarting: () => boolean
  /** How long the keeper has waited for a processor since its start, in ms; undefined if unknown. */
  readonly processorWaitMs: () => number | undefined
  readonly ping: () => void
  /** The keeper has not responded in time. */
  readonly onStuck: () => void
}

export class KeeperHealthCheck {
  readonly #parts: KeeperHealthCheckParts
  #lastBytesAt = 0
  #timer: NodeJS.Timeout | undefined

  constructor(parts: KeeperHealthCheckParts) {
    this.#parts = parts
  }

  /** The keeper has sent something. */
  bytesReceived(): void {
    this.#lastBytesAt = performance.now()
  }

  /** Checks the keeper until nothing is waited for. Without effect while the check runs. */
  start(): void {
    if (this.#timer !== undefined) return
    let countsFrom = performance.now()
    let lastCheckAt = countsFrom
    let silentSince = 0
    let processorWaitBefore = 0
    this.#timer = setInterval(() => {
      const { isWaiting, isStarting, processorWaitMs, ping, onStuck } = this.#parts
      const now = performance.now()
      // If this event loop was blocked, answers may have arrived that were not read yet.
      if (now - lastCheckAt > 2 * pingMs || isStarting()) countsFrom = now
      lastCheckAt = now
      if (!isWaiting()) {
        this.#stop()
        return
      }
      const processorWait = processorWaitMs() ?? 0
      const heardAt = Math.max(this.#lastBytesAt, countsFrom)
      if (heardAt !== silentSince) [silentSince, processorWaitBefore] = [heardAt, processorWait]
      const silentMs = now - silentSince
      const starvedMs = processorWait - processorWaitBefore
      if (silentMs - starvedMs > stuckAfterMs || silentMs > starvedAfterMs) onStuck()
      else ping()
    }, pingMs).unref()
  }

  #stop(): void {
    clearInterval(this.#timer)
    this.#timer = undefined
  }
}
