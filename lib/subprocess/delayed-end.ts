/**
 * The end of a child of the worker waits for what the keeper has said before that end. The two come by different ways: Node.js
 * may report that a child has ended before it reads an older message, which says that the keeper ends it, and why.
 */

import { throwInNextTick } from './catch-rethrown-error.js'

export class DelayedEnd {
  readonly #heardAll: () => Promise<void> | undefined
  /** In their order. Undefined while nothing waits. */
  #reports: (() => void)[] | undefined
  #isReporting = false

  /** `heardAll` resolves when the messages of the keeper were read. It returns undefined if none matters. */
  constructor(heardAll: () => Promise<void> | undefined) {
    this.#heardAll = heardAll
  }

  /** Whether the report of an end has to wait. If so, `report` is called later. */
  delays(report: () => void): boolean {
    if (this.#isReporting) return false
    if (this.queues(report)) return true
    const heard = this.#heardAll()
    if (heard === undefined) return false
    this.#reports = [report]
    void heard.then(() => this.#report())
    return true
  }

  /** Whether the report of an end waits, so that this one is called after it. */
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
