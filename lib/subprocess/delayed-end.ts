/**
 * Delays the report that a child of the worker has ended until all older messages of the keeper have been read. The two
 * take different paths, so Node.js may notice the end before it reads the message that says why the keeper ends the child.
 */

import { throwInNextTick } from './catch-rethrown-error.js'

export class DelayedEnd {
  readonly #heardAll: () => Promise<void> | undefined
  /** The reports that wait, in their order. Undefined if none does. */
  #reports: (() => void)[] | undefined
  #isReporting = false

  /** `heardAll`: see `SubprocessOwner`. */
  constructor(heardAll: () => Promise<void> | undefined) {
    this.#heardAll = heardAll
  }

  /** Returns true if the report has to wait, and calls it later. */
  delays(report: () => void): boolean {
    if (this.#isReporting) return false
    if (this.queues(report)) return true
    const heard = this.#heardAll()
    if (heard === undefined) return false
    this.#reports = [report]
    void heard.then(() => this.#report())
    return true
  }

  /** If a report waits, returns true and calls this one after it. */
  queues(report: () => void): boolean {
    this.#reports?.push(report)
    return this.#reports !== undefined
  }

  #report(): void {
    const reports = this.#reports ?? []
    this.#reports = undefined
    this.#isReporting = true
    for (const report of reports) {
      try {
        report()
      } catch (error) {
        throwInNextTick(error)
      }
    }
    this.#isReporting = false
  }
}
