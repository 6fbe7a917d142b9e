/** What a process uses, from what was read already, and what takes longer to read. */

import type { ProcessStat, QuickUsage } from '../platform.js'
import { ticksPerSecond } from './boot-clock.js'
import { pageBytes } from './page-size.js'
import { numberIn } from './process-usage.js'
import { figuresOf, readProc } from './read-proc.js'

export function quickUsageOf({ cpuTicks, waitedCpuTicks = 0, residentPages = 0 }: ProcessStat): QuickUsage {
  return {
    memoryBytes: residentPages * pageBytes(),
    cpuMs: ((cpuTicks + waitedCpuTicks) * 1_000) / ticksPerSecond
  }
}

/** Undefined if it is hidden, or if the kernel has no such file (Linux before 4.14). */
export function proportionalMemoryOf(pid: number): number | undefined {
  const text = figuresOf(() => readProc(`/proc/${pid}/smaps_rollup`))
  return text === undefined || text === '' ? undefined : numberIn(text, 'Pss') * 1_024
}

/** The second number of `0.20 0.18 0.12 1/80 11206` (proc_loadavg(5)). */
export function countThreads(): number | undefined {
  const [, threads] = /\/(\d+) /.exec(figuresOf(() => readProc('/proc/loadavg')) ?? '') ?? []
  return threads === undefined ? undefined : Number(threads)
}
