/**
 * What the external processes of a scope have used. Others wait for them, so their usage is known only as far
 * as they were looked at while they ran.
 */

import { type ProcessUsage, platform } from '../platform/current.js'
import type { UsageSummary } from '../wire/usage.js'

type Sum = Pick<ProcessUsage, 'userUs' | 'systemUs' | 'readBytes' | 'writtenBytes'>

const nothing: Sum = { userUs: 0, systemUs: 0, readBytes: 0, writtenBytes: 0 }

export class ExternalUsage {
  /** For each root: the sum of its tree, as it was last seen. */
  readonly #byRoot = new Map<number, Sum>()
  #ended = nothing
  #peakMemoryKb = 0
  #hasAny = false

  /**
   * Looks at the living processes of a tree. What each has used includes what it has waited for: so every process
   * counts once, whether it runs or has ended.
   */
  look(root: number, pids: readonly number[]): void {
    let sum = nothing
    for (const pid of pids) {
      const usage = platform.usageOf(pid)
      if (usage === undefined) continue
      this.#hasAny = true
      this.#peakMemoryKb = Math.max(this.#peakMemoryKb, usage.maxRssKb)
      sum = added(sum, usage)
    }
    // Less than before: an orphan has ended that nobody in the tree has waited for.
    const before = this.#byRoot.get(root)
    if (before === undefined || cpuOf(before) <= cpuOf(sum)) this.#byRoot.set(root, sum)
  }

  /** The root has ended: what was seen of its tree remains. */
  rootEnded(pid: number): void {
    this.#ended = added(this.#ended, this.#byRoot.get(pid) ?? nothing)
    this.#byRoot.delete(pid)
  }

  /** The processor time that was seen of roots that have ended, in ms. */
  get endedCpuMs(): number {
    return cpuOf(this.#ended) / 1_000
  }

  total(): UsageSummary {
    if (!this.#hasAny) return {}
    const sum = [...this.#byRoot.values()].reduce(added, this.#ended)
    const { readBytes, writtenBytes } = sum
    return {
      cpuMs: cpuOf(sum) / 1_000,
      peakMemoryBytes: this.#peakMemoryKb * 1_024,
      readBytes,
      writtenBytes
    }
  }
}

function added(one: Sum, other: Sum): Sum {
  return {
    userUs: one.userUs + other.userUs,
    systemUs: one.systemUs + other.systemUs,
    readBytes: one.readBytes + other.readBytes,
    writtenBytes: one.writtenBytes + other.writtenBytes
  }
}

function cpuOf({ userUs, systemUs }: Sum): number {
  return userUs + systemUs
}
