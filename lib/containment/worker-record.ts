/**
 * What belongs to a worker and to none of its scopes: what it started behind the guard's back, which inherits the
 * worker's own environment, and strays of unknown origin.
 */

import type { Libc } from '../platform/current.js'
import { markOf, workerIn, workerMarkIn, workerScope } from '../wire/mark.js'
import type { WorkerSettings } from '../wire/messages.js'
import { isReleased } from './release-registry.js'
import { ReleasedMarks } from './released-marks.js'
import { ScopeRecord } from './scope-record.js'

export class WorkerRecord extends ScopeRecord {
  /** The marks of the scopes that are not closed: what carries one is that scope's affair. */
  readonly openMarks = new Set<string>()
  readonly releasedMarks = new ReleasedMarks()
  /** Whether the worker lives on without its keeper. */
  isDismissed = false
  readonly #workerMark: string

  constructor(workerMark: string, libc: Libc | undefined) {
    super(workerScope, markOf(workerMark, workerScope), { graceMs: 2_000, killSignal: 'SIGTERM' }, libc)
    this.#workerMark = workerMark
  }

  /** As the worker wants it. */
  applySettings({ graceMs, killSignal }: WorkerSettings): void {
    this.graceMs = graceMs
    this.killSignal = killSignal
  }

  /** Whoever is no child of the keeper is looked for, too. */
  includeExternal(): void {
    this.external.mayExistSince(workerIn(this.#workerMark)?.startTick ?? 0)
  }

  override owns(mark: string): boolean {
    if (workerMarkIn(mark) !== this.#workerMark || this.openMarks.has(mark) || this.releasedMarks.has(mark))
      return false
    // By a keeper that this worker had before.
    return !isReleased(mark)
  }
}
