/** Adds up what the processes of a scope have used. */

import { type ProcessStat, type ProcessUsage, platform, type QuickUsage } from '../platform/current.js'
import { largerUsage, storageIn, sumOfUsages, type UsageSummary } from '../wire/usage.js'

const kilobyte = 1_024

export class UsageAccount {
  #hasUsage = false
  #cpuUs = 0
  #peakMemoryBytes = 0
  #storage: UsageSummary = {}
  #peakProcesses = 0
  /** The most processor time that all of them were seen to have used, in ms. */
  #seenCpuMs = 0

  /** A process has ended. Its parent was this process: nobody else counts what it has used. */
  add(usage: ProcessUsage): void {
    this.#hasUsage = true
    this.#cpuUs += usage.userUs + usage.systemUs
    this.#storage = sumOfUsages([this.#storage, storageIn(usage)])
    this.noteMemory(usage.maxRssKb * kilobyte)
  }

  /** The processor time of those that have ended, in ms. */
  get endedCpuMs(): number {
    return this.#cpuUs / 1_000
  }

  /** A process was seen with so much resident memory. */
  noteMemory(bytes: number): void {
    if (bytes > this.#peakMemoryBytes) this.#peakMemoryBytes = bytes
  }

  /**
   * Adds up what these living processes use, and what all of the scope have used: `otherCpuMs` is that of ended ones
   * that are not counted here. Who waits for them later may not tell it.
   */
  noteLiving(stats: readonly ProcessStat[], otherCpuMs: number): QuickUsage {
    let memoryBytes = 0
    let cpuMs = this.endedCpuMs + otherCpuMs
    for (const stat of stats) {
      const usage = platform.quickUsageOf(stat)
      memoryBytes += usage.memoryBytes
      cpuMs += usage.cpuMs
      this.noteMemory(usage.memoryBytes)
    }
    this.noteAlive(stats.length)
    this.#seenCpuMs = Math.max(this.#seenCpuMs, cpuMs)
    return { memoryBytes, cpuMs }
  }

  /** So many processes were seen alive at the same time. */
  noteAlive(processes: number): void {
    if (processes > this.#peakProcesses) this.#peakProcesses = processes
  }

  /**
   * The sums. `external` is what processes have used that others have waited for. What the system has counted
   * itself (`counted`) is right where it is more: a process may end without being waited for.
   */
  total(external: UsageSummary, counted: UsageSummary = {}): UsageSummary {
    const own = this.#hasUsage ? sumOfUsages([{ cpuMs: this.endedCpuMs, ...this.#storage }, external]) : {}
    const seen = {
      cpuMs: this.#seenCpuMs,
      peakMemoryBytes: this.#peakMemoryBytes,
      peakProcesses: this.#peakProcesses
    }
    return [own, external, counted, ifPositive(seen)].reduce(largerUsage)
  }
}

function ifPositive(usage: UsageSummary): UsageSummary {
  return Object.fromEntries(Object.entries(usage).filter(([, value]) => value > 0))
}
