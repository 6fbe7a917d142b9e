/** Samples the memory of processes every second and decides whether it grows. */

import { privateBytesOf } from './proc.js'

/** The result for one process. */
export interface MemoryFinding {
  readonly name: string
  readonly samples: number
  /** The medians of the second and of the last quarter, in bytes; undefined with too few samples. */
  readonly early: number | undefined
  readonly late: number | undefined
  readonly allowed: number
  readonly verdict: 'grows' | 'flat' | 'not judged'
}

const sampleMs = 1_000
const mebibyte = 1024 * 1024
// Under this load, a heap needs one or two minutes to reach its final size.
const fewestSamples = 180
// Garbage collection makes the heap vary by that much between quarters.
const allowedShare = 0.1
const allowedBytes = 4 * mebibyte

export class Memory {
  readonly #samples = new Map<string, { readonly pid: number; readonly bytes: number[] }>()
  #timer: NodeJS.Timeout | undefined

  /** Starts to sample these processes: pids by name. */
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
