/** The scan for a process that has other work: it looks a little in each turn of its event loop. */

import { setImmediate as turn } from 'node:timers/promises'
import { eachPid } from '../platform/current.js'
import { MarksCensus, type ProcessSnapshot } from './marks-census.js'
import type { ScopeRecord } from './scope-record.js'

// With what a turn has to do besides, in ms.
const sliceMs = 5

export class IncrementalCensus extends MarksCensus {
  #running: Promise<void> = Promise.resolve()
  #next: Promise<void> | undefined
  /** Why the last look could not be taken. */
  #failure: unknown
  /** Whose turn it is to make something of a look. */
  #turns: Promise<unknown> = Promise.resolve()

  /** A look for all who ask before it begins: one that had begun may have missed what they know of. */
  async prepareScan(): Promise<void> {
    this.#next ??= this.#running.then(() => {
      this.#next = undefined
      this.#running = this.#lookInSlices()
      return this.#running
    })
    await this.#next
    // A turn for each: there may be many scopes, and each goes through all of the look.
    this.#turns = this.#turns.then(() => turn())
    await this.#turns
  }

  override close(scope: ScopeRecord, hasSurvivors: boolean): void {
    super.close(scope, hasSurvivors)
    // It holds all processes of the machine.
    if (this.isIdle) this.lastSnapshot = undefined
  }

  /** To ask all of a large tree would take long, and there is a look. */
  protected override knowsLiving(): boolean {
    return false
  }

  protected override snapshot(): ProcessSnapshot {
    if (this.lastSnapshot === undefined) throw this.#failure
    return this.lastSnapshot
  }

  async #lookInSlices(): Promise<void> {
    const beganAt = performance.now()
    try {
      const steps = this.steps(eachPid())
      let until = performance.now() + sliceMs
      for (let step = steps.next(); ; step = steps.next()) {
        if (step.done) {
          this.lastSnapshot = step.value
          break
        }
        if (performance.now() < until) continue
        await turn()
        until = performance.now() + sliceMs
      }
    } catch (error) {
      this.lastSnapshot = undefined
      this.#failure = error
    }
    this.scanMs = performance.now() - beganAt
  }
}
