/**
 * When to look at a scope again: the nearer a limit, the sooner. Between the looks, figures of the whole machine tell
 * when to look earlier.
 */

import { availableParallelism } from 'node:os'
import type { ScopeLimits } from '../scope-limits.js'
import type { Look } from './scope-look.js'

// A program can allocate that much, in bytes per ms: 1 GB per second.
const allocationRate = 1e6
// A program can start that many processes per ms.
const forkRate = 1

export const shortestPauseMs = 20
/** Longer than this only where looks would take too much time. */
export const longestPauseMs = 1_000

/** What is left until a limit. `Infinity` where there is none. */
export interface Headroom {
  readonly memoryBytes: number
  readonly cpuMs: number
  readonly processes: number
}

export function headroomOf(look: Look, { memory, cpu, processes }: ScopeLimits): Headroom {
  const left = (limit: number | undefined, used: number): number =>
    limit === undefined ? Number.POSITIVE_INFINITY : Math.max(0, limit - used)
  return {
    memoryBytes: left(memory, look.memoryBytes),
    cpuMs: left(cpu, look.cpuMs),
    processes: left(processes, look.members.length)
  }
}

/** The headroom of a scope that has just started its first process. */
export function fullHeadroom({ memory, cpu, processes }: ScopeLimits): Headroom {
  return {
    memoryBytes: memory ?? Number.POSITIVE_INFINITY,
    cpuMs: cpu ?? Number.POSITIVE_INFINITY,
    processes: processes ?? Number.POSITIVE_INFINITY
  }
}

/**
 * How long to wait, in ms. `before` is the headroom and the pause of the last look: while little of the headroom is
 * used up, each pause is twice as long as the last one, up to eight times what a greedy program would leave us. It may be
 * as long as `affordableMs` in any case: so much time the looks at all scopes need.
 */
export function pauseUntilNextLook(
  now: Headroom,
  before: { readonly headroom: Headroom; readonly pauseMs: number },
  affordableMs = 0
): number {
  // Processor time grows by no more than one ms per ms and processor: no need to guess.
  const cpuMs = now.cpuMs / availableParallelism()
  const grown = Math.max(
    shareUsed(before.headroom.memoryBytes, now.memoryBytes),
    shareUsed(before.headroom.processes, now.processes)
  )
  // Half of the headroom may be used up until then.
  const urgentMs = Math.min(now.memoryBytes / allocationRate, now.processes / forkRate) / 2
  const calmMs = grown < 0.05 ? Math.min(2 * before.pauseMs, Math.max(8 * urgentMs, affordableMs)) : 0
  const longestMs = Math.max(longestPauseMs, affordableMs)
  return Math.min(Math.max(Math.min(cpuMs, Math.max(urgentMs, calmMs)), shortestPauseMs), longestMs)
}

/** The share of the headroom that was used up between two looks. */
function shareUsed(before: number, now: number): number {
  return Number.isFinite(before) && before > 0 ? (before - now) / before : 0
}
