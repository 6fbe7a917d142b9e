/**
 * The pause before a lost keeper is replaced: none at first, then longer each time that keepers are lost soon
 * after their start.
 */

// A keeper that has run for this long was not lost for a lasting reason.
const stableAfterMs = 10_000
const firstPauseMs = 500
const longestPauseMs = 30_000

export class RestartBackoff {
  #startedAt = 0
  #quickLosses = 0

  /** A keeper is started. */
  started(): void {
    this.#startedAt = performance.now()
  }

  /**
   * The keeper was lost. Returns the pause before the next start, in ms: 0, 500, 1,000 and so on up to
   * 30,000.
   */
  nextPauseMs(): number {
    if (performance.now() - this.#startedAt >= stableAfterMs) this.#quickLosses = 0
    const losses = this.#quickLosses++
    return losses === 0 ? 0 : Math.min(longestPauseMs, firstPauseMs * 2 ** (losses - 1))
  }
}
