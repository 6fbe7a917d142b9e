/** Measures how long the event loop of this process is blocked, and how much of that is its own run time. */

import { readFileSync } from 'node:fs'
import { performance } from 'node:perf_hooks'

/** One block: a time in which the event loop did not turn. */
export interface Block {
  readonly wallMs: number
  /** How long the thread of the event loop ran. */
  readonly ownMs: number
  /** How long it was ready to run and waited for a processor. */
  readonly queuedMs: number
}

interface Reading {
  readonly at: number
  readonly ran: number
  readonly queued: number
}

// The main thread of a process has the pid as its id.
const schedule = `/proc/self/task/${process.pid}/schedstat`
const everyMs = 1

function read(): Reading {
  // The times of a thread are updated at its last tick, or when it asks for its own times: so do that first.
  process.cpuUsage()
  const [ran = 0, queued = 0] = readFileSync(schedule, 'utf8').split(' ').map(Number)
  return { at: performance.now(), ran: ran / 1e6, queued: queued / 1e6 }
}

export class LoopProbe {
  #last = read()
  #timer = this.#arm()
  readonly #blocks: Block[] = []

  /** The longest block by this measure since the start of the probe. */
  longest(by: keyof Block): Block {
    this.#measure()
    return this.#blocks.reduce((one, other) => (other[by] > one[by] ? other : one))
  }

  stop(): void {
    clearTimeout(this.#timer)
  }

  #arm(): NodeJS.Timeout {
    return setTimeout(() => {
      this.#measure()
      this.#timer = this.#arm()
    }, everyMs)
  }

  #measure(): void {
    const now = read()
    const { at, ran, queued } = this.#last
    this.#blocks.push({ wallMs: now.at - at - everyMs, ownMs: now.ran - ran, queuedMs: now.queued - queued })
    this.#last = now
  }
}
