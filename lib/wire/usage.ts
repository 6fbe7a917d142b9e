/** What processes have used, as the keeper tells its worker and the worker its user. */

import type { ProcessUsage } from '../platform/current.js'

/** What processes have used together. A number that the system does not tell is absent. */
export interface UsageSummary {
  /** The processor time of all processes, in ms. */
  readonly cpuMs?: number
  /** The largest resident memory of a single process, in bytes. */
  readonly peakMemoryBytes?: number
  /** The largest number of processes that were seen alive at the same time. */
  readonly peakProcesses?: number
  /** What was read from storage, in bytes. What the system has cached is not read from there. */
  readonly readBytes?: number
  /** What was written to storage, in bytes. */
  readonly writtenBytes?: number
}

/** The usage of one process, with what it has waited for. */
export function summaryOf(usage: ProcessUsage): UsageSummary {
  const { userUs, systemUs, maxRssKb } = usage
  return {
    cpuMs: (userUs + systemUs) / 1_000,
    ...(maxRssKb > 0 ? { peakMemoryBytes: maxRssKb * 1_024 } : {}),
    ...storageIn(usage)
  }
}

/** What one process has read from storage and written to it. */
export function storageIn({ readBytes, writtenBytes }: ProcessUsage): UsageSummary {
  return readBytes === undefined || writtenBytes === undefined ? {} : { readBytes, writtenBytes }
}

type Numbers = Partial<Record<keyof UsageSummary, number>>

/** The usage of several groups of processes together. */
export function sumOfUsages(usages: readonly UsageSummary[]): UsageSummary {
  const sum: Numbers = {}
  for (const usage of usages) {
    for (const [name, value] of entriesOf(usage)) {
      const before = sum[name] ?? 0
      // The groups may have been largest at different times: the sum of their numbers is an upper bound.
      sum[name] = name === 'peakMemoryBytes' ? Math.max(before, value) : before + value
    }
  }
  return sum
}

/** The larger one of each number, of two accounts of the same processes that may both be incomplete. */
export function largerUsage(one: UsageSummary, other: UsageSummary): UsageSummary {
  const result: Numbers = { ...one }
  for (const [name, value] of entriesOf(other)) result[name] = Math.max(result[name] ?? 0, value)
  return result
}

function entriesOf(usage: UsageSummary): [keyof UsageSummary, number][] {
  return Object.entries(usage) as [keyof UsageSummary, number][]
}
