/**
 * What the external processes of a scope have used. Others wait for them, so their usage is known only as far
 * as they were looked at while they ran.
 */

import { platform } from '../platform/current.js'
import { largerUsage, summaryOf, sumOfUsages, type UsageSummary } from '../wire/usage.js'

export class ExternalUsage {
  /** For each root: what its tree has used, as far as it was seen. */
  readonly #byRoot = new Map<number, UsageSummary>()
  #ended: UsageSummary = {}

  /**
   * Looks at the living processes of a tree. What each has used includes what it has waited for: so every process
   * counts once, whether it runs or has ended.
   */
  look(root: number, pids: readonly number[]): void {
    const usages = pids.flatMap((pid) => platform.usageOf(pid) ?? [])
    // It may be less than before: an orphan has ended that nobody in the tree has waited for.
    const before = this.#byRoot.get(root) ?? {}
    this.#byRoot.set(root, largerUsage(before, sumOfUsages(usages.map(summaryOf))))
  }

  /** The root has ended: what was seen of its tree remains. */
  rootEnded(pid: number): void {
    this.#ended = sumOfUsages([this.#ended, this.#byRoot.get(pid) ?? {}])
    this.#byRoot.delete(pid)
  }

  /** The processor time that was seen of roots that have ended, in ms. */
  get endedCpuMs(): number {
    return this.#ended.cpuMs ?? 0
  }

  total(): UsageSummary {
    return sumOfUsages([this.#ended, ...this.#byRoot.values()])
  }
}
