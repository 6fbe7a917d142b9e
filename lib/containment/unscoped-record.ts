/**
 * The processes of a worker that belong to none of its scopes: those that it started without the guard, which
 * inherit the worker's own environment, and strays of unknown origin.
 */

import type { NativeCalls } from '../platform/current.js'
import { markOf, workerIn, workerMarkIn, workerScope } from '../wire/mark.js'
import type { WorkerSettings } from '../wire/messages.js'
import { isReleased } from './release-registry.js'
import { ReleasedMarks } from './released-marks.js'
import { ScopeRecord } from './scope-record.js'

export class UnscopedRecord extends ScopeRecord {
  /** The marks of the scopes that are not closed: a process with one of these belongs to that scope. */
  readonly openMarks = new Set<string>()
  readonly releasedMarks = new ReleasedMarks()
  /** Whether the worker goes on without its keeper. */
  isDismissed = false
  readonly #workerMark: string

  constructor(workerMark: string, native: NativeCalls | undefined) {
    super(workerScope, markOf(workerMark, workerScope), { graceMs: 2_000, killSignal: 'SIGTERM' }, native)
    this.#workerMark = workerMark
  }

  applySettings({ graceMs, killSignal }: WorkerSettings): void {
    this.graceMs = graceMs
    this.killSignal = killSignal
  }

  /** Also finds processes that do not descend from the keeper. */
  includeExternal(): void {
    this.external.mayExistSince(workerIn(this.#workerMark)?.startTick ?? 0)
  }

  override owns(mark: string): boolean {
    if (workerMarkIn(mark) !== this.#workerMark || this.openMarks.has(mark) || this.releasedMarks.has(mark))
      return false
    // An earlier keeper of this worker may have released it.
    return !isReleased(mark)
  }
}
