/** How late the event loop of this process is, and how much of that is its own doing. */

import { readFileSync } from 'node:fs'
import { performance } from 'node:perf_hooks'

/** One block: nothing that waited for the loop had its turn meanwhile. */
export interface Block {
  readonly wallMs: number
  /** For so long the thread of the loop ran. */
  readonly ownMs: number
  /** For so long it could have run, and the system let others run. */
  readonly queuedMs: number
}

interface Reading {
  readonly at: number
  readonly ran: number
  readonly queued: number
}

// The first thread of a process has its number.
const schedule = `/proc/self/task/${process.pid}/schedstat`
const everyMs = 1

function read(): Reading {
  // What the kernel shows of a thread is as old as its last tick, but for one that has just asked for its times.
  process.cpuUsage()
  const [ran = 0, queued = 0] = readFileSync(schedule, 'utf8').split(' ').map(Number)
  return { at: performance.now(), ran: ran / 1e6, queued: queued / 1e6 }
}

export class LoopProbe {
  #last = read()
  #timer = this.#arm()
  readonly #blocks: Block[] = []

  /** The block that was longest by that measure, from the start of the probe to now. */
  longest(by: keyof Block): Block {
    this.#look()
    return this.#blocks.reduce((one, other) => (other[by] > one[by] ? other : one))
  }

  stop(): void {
    clearTimeout(this.#timer)
  }

  #arm(): NodeJS.Timeout {
    return setTimeout(() => {
      this.#look()
      this.#timer = this.#arm()
    }, everyMs)
  }

  #look(): void {
    const now = read()
    const { at, ran, queued } = this.#last
    this.#blocks.push({ wallMs: now.at - at - everyMs, ownMs: now.ran - ran, queuedMs: now.queued - queued })
    this.#last = now
  }
}
