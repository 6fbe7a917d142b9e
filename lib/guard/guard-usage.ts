/** What all living processes of a guard use together. */

import type { Scope } from './scope.js'

/** What the living processes of a guard use together at this moment. */
export interface GuardUsage {
  /** How many processes are alive: commands, and everything that they have started. */
  readonly processes: number
  /**
   * The sum of their resident memory, in bytes. Memory that processes share counts once for each of them, so the
   * sum is an upper bound.
   */
  readonly memoryBytes: number
  /** The processor time that they have used, in ms. That of processes that have ended is not included. */
  readonly cpuMs: number
}

/** Rejects as `Scope.list()` does. */
export async function usageOf(scopes: Iterable<Scope>): Promise<GuardUsage> {
  const lists = await Promise.all([...scopes].map((scope) => scope.list()))
  const sum = { processes: 0, memoryBytes: 0, cpuMs: 0 }
  for (const { memoryBytes, cpuMs } of lists.flat()) {
    sum.processes++
    sum.memoryBytes += memoryBytes
    sum.cpuMs += cpuMs
  }
  return sum
}
