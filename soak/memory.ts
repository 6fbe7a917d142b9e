/** Memory over time, of the worker and the keeper that are spared: a sample a second, and whether it grows. */

import { privateBytesOf } from './proc.js'

/** What the samples of one process say. */
export interface MemoryFinding {
  readonly name: string
  readonly samples: number
  /** Medians of the second and of the last quarter; undefined with too few samples. */
  readonly early: number | undefined
  readonly late: number | undefined
  readonly allowed: number
  readonly verdict: 'grows' | 'flat' | 'not judged'
}

const sampleMs = 1_000
const mebibyte = 1024 * 1024
// A heap takes the first minute or two of this load to reach the size at which it stays.
const fewestSamples = 180
// By that the heap differs from one quarter to the next, as the collector has its turns.
const allowedShare = 0.1
const allowedBytes = 4 * mebibyte

export class Memory {
  readonly #samples = new Map<string, { readonly pid: number; readonly bytes: number[] }>()
  #timer: NodeJS.Timeout | undefined

  /** Samples these processes, by name, from now on. */
  start(processes: Readonly<Record<string, number | undefined>>): void {
    for (const [name, pid] of Object.entries(processes)) {
      if (pid !== undefined) this.#samples.set(name, { pid, bytes: [] })
    }
    this.#timer = setInterval(() => this.#sample(), sampleMs)
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  findings(): MemoryFinding[] {
    return [...this.#samples].map(([name, { bytes }]) => judge(name, bytes))
  }

  #sample(): void {
    for (const { pid, bytes } of this.#samples.values()) {
      const now = privateBytesOf(pid)
      if (now !== undefined) bytes.push(now)
    }
  }
}

function judge(name: string, bytes: readonly number[]): MemoryFinding {
  const quarter = Math.floor(bytes.length / 4)
  const early = medianOf(bytes.slice(quarter, 2 * quarter))
  const late = medianOf(bytes.slice(3 * quarter))
  const allowed = (early ?? 0) * allowedShare + allowedBytes
  const samples = bytes.length
  if (samples < fewestSamples || early === undefined || late === undefined) {
    return { name, samples, early, late, allowed, verdict: 'not judged' }
  }
  return { name, samples, early, late, allowed, verdict: late - early > allowed ? 'grows' : 'flat' }
}

function medianOf(figures: readonly number[]): number | undefined {
  return [...figures].sort((a, b) => a - b)[Math.floor(figures.length / 2)]
}
