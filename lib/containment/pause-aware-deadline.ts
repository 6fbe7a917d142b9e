/**
 * A deadline for processes that does not count the time in which the keeper was paused (a frozen container, a
 * virtual machine that gets no processor): the processes were probably paused, too.
 */

import { platform } from '../platform/current.js'

// If the keeper neither waited nor worked for longer than this, in ms, it was paused.
const pausedMs = 100

export class PauseAwareDeadline {
  /** When the time is up, in ms by `performance.now()`. */
  until: number
  #lastAt = performance.now()
  #usedMs = workedMs()

  constructor(ms: number) {
    this.until = this.#lastAt + ms
  }

  /**
   * Returns the time, in ms by `performance.now()`. A pause since the last call moves the deadline. `waitMs`
   * is how long the keeper meant to wait since then.
   */
  now(waitMs = 0): number {
    const [now, usedMs] = [performance.now(), workedMs()]
    const gapMs = now - this.#lastAt - waitMs - (usedMs - this.#usedMs)
    if (gapMs > pausedMs) this.until += gapMs
    this.#lastAt = now
    this.#usedMs = usedMs
    return now
  }
}

/** The time that this process has used, in ms: of the processor, and for reading processes. */
function workedMs(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1_000 + platform.blockedByReadingMs()
}
