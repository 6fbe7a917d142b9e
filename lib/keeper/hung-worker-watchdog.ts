/** Notices that the worker's event loop is blocked: it has been silent for too long, and nothing excuses that. */

import { statOf } from '../platform/current.js'
import { heartbeatIntervalMs } from '../wire/heartbeat-interval.js'
import type { StackSample } from '../wire/stack-sample.js'

const longestLeadMs = 500
// Rounded up, so that a timer that fires a fraction early does not find the time not come.
const shortestTickMs = 2

export interface WatchdogParts {
  /** Process id of the worker. */
  readonly worker: number
  /** How long its event loop may be blocked, in ms. */
  readonly timeoutMs: number
  /** Asks where the worker is. An answer that comes later than `withinMs` may be too late to be told. */
  readonly askWhere: (withinMs: number) => Promise<StackSample>
  /** Called once at most. */
  readonly onHung: (silentMs: number, where: StackSample) => void
}

/** What has been asked of the worker in its present silence. */
interface Inquiry {
  where: StackSample | undefined
}

/**
 * All times are of `performance.now()`, which is CLOCK_MONOTONIC, as are Node's timers. It stands still while the
 * machine is suspended, so that this time is no silence. When only the keeper stands still, or both it and the
 * worker do while the clock goes on (a stopped process group, a frozen container, a virtual machine without
 * processor), the keeper sees it by a tick of its own that is late, and begins anew.
 */
export class Watchdog {
  readonly #parts: WatchdogParts
  readonly #beatMs: number
  readonly #leadMs: number
  readonly #limitMs: number
  #lastSignAt = performance.now()
  #tickDueAt = 0
  #timer: NodeJS.Timeout | undefined
  #inquiry: Inquiry | undefined
  /** Whether the worker was stopped, or gone, at the last look. */
  #isStopped = false
  #isOver = false

  constructor(parts: WatchdogParts) {
    const { timeoutMs } = parts
    this.#parts = parts
    this.#beatMs = heartbeatIntervalMs(timeoutMs)
    this.#leadMs = Math.min(longestLeadMs, timeoutMs / 4)
    // The last beat may be a whole beat old when the block begins.
    this.#limitMs = timeoutMs + this.#beatMs
    this.#schedule()
  }

  /** The worker has said something. */
  alive(): void {
    this.#lastSignAt = performance.now()
    this.#inquiry = undefined
  }

  /** Nothing is asked and nothing called back any more. */
  stop(): void {
    this.#isOver = true
    clearTimeout(this.#timer)
  }

  #silentMs(): number {
    return performance.now() - this.#lastSignAt
  }

  /** To the next time at which there is something to do, and a beat at most, since lateness is told by it. */
  #schedule(): void {
    const silentMs = this.#silentMs()
    const askAtMs = this.#parts.timeoutMs - this.#leadMs
    const nextMs = (silentMs < askAtMs ? askAtMs : this.#limitMs) - silentMs
    const delayMs = Math.max(shortestTickMs, Math.min(this.#beatMs, Math.ceil(nextMs) + 1))
    this.#tickDueAt = performance.now() + delayMs
    this.#timer = setTimeout(() => this.#tick(), delayMs).unref()
  }

  #tick(): void {
    if (this.#isExcused()) this.alive()
    else if (this.#silentMs() >= this.#parts.timeoutMs - this.#leadMs) this.#ask()
    if (this.#silentMs() <= this.#limitMs) this.#schedule()
    // What the worker has said may wait in the keeper's socket: the loop reads it before the next check phase.
    else setImmediate(() => this.#decide())
  }

  #isExcused(): boolean {
    const isLate = performance.now() - this.#tickDueAt > this.#beatMs
    // It may have been continued just now, so its time begins when it is first found running.
    const wasStopped = this.#isStopped
    if (!isLate && !wasStopped && this.#silentMs() <= this.#beatMs) return false
    const state = statOf(this.#parts.worker)?.state
    // T, t: stopped, by a signal or by a tracer. One that has ended does not hang: the end of its socket says so.
    this.#isStopped = state === undefined || 'TtZX'.includes(state)
    return isLate || wasStopped || this.#isStopped
  }

  #ask(): void {
    if (this.#inquiry !== undefined) return
    const inquiry: Inquiry = { where: undefined }
    this.#inquiry = inquiry
    const answer = (where: StackSample): void => {
      // The worker has spoken since, and what held it then is not what holds it now.
      if (this.#inquiry !== inquiry) return
      if (where.type === 'paused') this.alive()
      else inquiry.where = where
    }
    this.#parts
      .askWhere(this.#leadMs)
      .then(answer, (error: unknown) => answer({ type: 'unknown', why: String(error) }))
  }

  #decide(): void {
    if (this.#isOver) return
    const silentMs = this.#silentMs()
    if (silentMs <= this.#limitMs) {
      this.#schedule()
      return
    }
    this.stop()
    const why = `no answer within ${Math.round(this.#leadMs + this.#beatMs)} ms`
    this.#parts.onHung(silentMs, this.#inquiry?.where ?? { type: 'unknown', why })
  }
}
