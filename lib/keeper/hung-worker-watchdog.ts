/** Detects a hung worker: its event loop has sent no message for too long, and the worker was not paused. */

import { isOutOfDescriptors, platform } from '../platform/current.js'
import { heartbeatIntervalMs } from '../wire/heartbeat-interval.js'
import type { StackSample } from '../wire/stack-sample.js'

const maxLeadMs = 500
// Rounded up: a timer may fire a fraction of a millisecond early.
const minTickMs = 2

export interface WatchdogParts {
  /** Pid of the worker. */
  readonly worker: number
  /** How long its event loop may be blocked, in ms. */
  readonly timeoutMs: number
  /** Requests a stack sample. One that takes longer than `withinMs` may be too late to be used. */
  readonly sampleStack: (withinMs: number) => Promise<StackSample>
  /** Called once at most. */
  readonly onHung: (silentMs: number, sample: StackSample) => void
}

/**
 * All times are of `performance.now()`, which is CLOCK_MONOTONIC, as are Node's timers. This clock stops
 * while the machine is suspended, so a suspended machine does not count as silence. The keeper alone may be
 * paused, or keeper and worker together while the clock runs on (a stopped process group, a frozen container,
 * a virtual machine without processor). The watchdog notices that by a late tick of its own, and starts
 * again.
 */
export class Watchdog {
  readonly #parts: WatchdogParts
  readonly #beatMs: number
  readonly #leadMs: number
  readonly #limitMs: number
  #lastMessageAt = performance.now()
  #tickDueAt = 0
  #timer: NodeJS.Timeout | undefined
  /** The stack sample that was requested during the current silence. */
  #request: { sample: StackSample | undefined } | undefined
  /** Whether the worker was stopped, or gone, at the last check. */
  #isStopped = false
  #isOver = false

  constructor(parts: WatchdogParts) {
    const { timeoutMs } = parts
    this.#parts = parts
    this.#beatMs = heartbeatIntervalMs(timeoutMs)
    this.#leadMs = Math.min(maxLeadMs, timeoutMs / 4)
    // When the block begins, the last heartbeat may be one interval old.
    this.#limitMs = timeoutMs + this.#beatMs
    this.#schedule()
  }

  /** A message of the worker has arrived: the silence begins anew. */
  reset(): void {
    this.#lastMessageAt = performance.now()
    this.#request = undefined
  }

  /** After this, nothing is requested and nothing called back. */
  stop(): void {
    this.#isOver = true
    clearTimeout(this.#timer)
  }

  #silentMs(): number {
    return performance.now() - this.#lastMessageAt
  }

  /** Ticks when there is something to do, and at least once in each interval, to notice late ticks. */
  #schedule(): void {
    const silentMs = this.#silentMs()
    const sampleAtMs = this.#parts.timeoutMs - this.#leadMs
    const nextMs = (silentMs < sampleAtMs ? sampleAtMs : this.#limitMs) - silentMs
    const delayMs = Math.max(minTickMs, Math.min(this.#beatMs, Math.ceil(nextMs) + 1))
    this.#tickDueAt = performance.now() + delayMs
    this.#timer = setTimeout(() => this.#tick(), delayMs).unref()
  }

  #tick(): void {
    if (this.#wasPaused()) this.reset()
    else if (this.#silentMs() >= this.#parts.timeoutMs - this.#leadMs) this.#requestSample()
    if (this.#silentMs() <= this.#limitMs) this.#schedule()
    // A message may wait in the keeper's socket: the event loop reads it before the next check phase.
    else setImmediate(() => this.#raiseAlarm())
  }

  /** Whether the keeper or the worker was paused, so that the silence does not count. */
  #wasPaused(): boolean {
    const isLate = performance.now() - this.#tickDueAt > this.#beatMs
    // It may have been continued just now. So the silence begins when it is first found running.
    const wasStopped = this.#isStopped
    if (!isLate && !wasStopped && this.#silentMs() <= this.#beatMs) return false
    const state = this.#stateOfWorker()
    // T, t: stopped, by a signal or by a tracer. Z, X: it has ended, which the end of its socket reports.
    this.#isStopped = state === undefined || 'TtZX'.includes(state)
    return isLate || wasStopped || this.#isStopped
  }

  /** As in `ProcessStat`; undefined if the worker is gone. */
  #stateOfWorker(): string | undefined {
    try {
      return platform.statOf(this.#parts.worker)?.state
    } catch (error) {
      if (!isOutOfDescriptors(error)) throw error
      // As if it ran: a worker that hangs must be ended, whatever else fails.
      return '?'
    }
  }

  #requestSample(): void {
    if (this.#request !== undefined) return
    const request: { sample: StackSample | undefined } = { sample: undefined }
    this.#request = request
    const answer = (sample: StackSample): void => {
      // The worker has sent a message since then. What blocked it before is not what blocks it now.
      if (this.#request !== request) return
      if (sample.type === 'paused') this.reset()
      else request.sample = sample
    }
    this.#parts
      .sampleStack(this.#leadMs)
      .then(answer, (error: unknown) => answer({ type: 'unknown', why: String(error) }))
  }

  #raiseAlarm(): void {
    if (this.#isOver) return
    const silentMs = this.#silentMs()
    if (silentMs <= this.#limitMs) {
      this.#schedule()
      return
    }
    this.stop()
    const why = `no answer within ${Math.round(this.#leadMs + this.#beatMs)} ms`
    this.#parts.onHung(silentMs, this.#request?.sample ?? { type: 'unknown', why })
  }
}
