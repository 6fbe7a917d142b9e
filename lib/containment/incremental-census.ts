/** The marks census for a process with other work: it scans a little in each turn of the event loop. */

import { setImmediate as turn } from 'node:timers/promises'
import { platform } from '../platform/current.js'
import { SharedTask } from '../time/shared-task.js'
import { MarksCensus } from './marks-census.js'
import type { ProcessSnapshot } from './process-snapshot.js'
import type { ScopeRecord } from './scope-record.js'

// How long to scan in one turn, which has other work to do, in ms.
const sliceMs = 5

export class IncrementalCensus extends MarksCensus {
  readonly #scan = new SharedTask(() => this.#scanInSlices())
  /** Why the last scan failed. */
  #failure: unknown
  /** The queue for the use of a snapshot: each scope goes through all of it. */
  #turns: Promise<unknown> = Promise.resolve()

  override async prepareScan(): Promise<void> {
    await this.#scan.run()
    // One scope in each turn: there may be many scopes.
    this.#turns = this.#turns.then(() => turn())
    await this.#turns
  }

  override close(scope: ScopeRecord, hasSurvivors: boolean): void {
    super.close(scope, hasSurvivors)
    // The snapshot holds all processes of the machine.
    if (this.isIdle) this.lastSnapshot = undefined
  }

  /** A check of each process of a large tree would take long, and there is a snapshot anyway. */
  protected override knowsLiving(): boolean {
    return false
  }

  protected override snapshot(): ProcessSnapshot {
    if (this.lastSnapshot === undefined) throw this.#failure
    return this.lastSnapshot
  }

  async #scanInSlices(): Promise<void> {
    const beganAt = performance.now()
    try {
      await platform.readAhead?.()
      const steps = this.scanSteps(platform.eachPid())
      // What was read ahead is only known in this turn.
      const ms = platform.readAhead === undefined ? sliceMs : Number.POSITIVE_INFINITY
      let until = performance.now() + ms
      for (let step = steps.next(); ; step = steps.next()) {
        if (step.done) {
          this.lastSnapshot = step.value
          break
        }
        if (performance.now() < until) continue
        await turn()
        until = performance.now() + ms
      }
    } catch (error) {
      this.lastSnapshot = undefined
      this.#failure = error
    }
    this.scanMs = performance.now() - beganAt
  }
}
