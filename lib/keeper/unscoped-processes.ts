/**
 * Finds and ends what the worker started outside any scope, and strays that no open scope can have started.
 */

import type { Census } from '../containment/census.js'
import { releasedPids } from '../containment/release-registry.js'
import type { UnscopedRecord } from '../containment/unscoped-record.js'
import type { ScopeProcess } from '../platform/current.js'
import type { EndedProcess, KeeperReport } from '../wire/messages.js'
import type { ScopeCloser } from './close-scope.js'
import { describeMembers, livingMembers } from './describe-scope.js'

export interface UnscopedProcessesParts {
  readonly census: Census
  readonly closer: ScopeCloser
  readonly unscopedRecord: UnscopedRecord
  /** The common prefix of the marks of all scopes of the worker. */
  readonly workerMark: string
  /** Logs that strays were ended. */
  readonly logStrays: (processes: readonly EndedProcess[]) => void
}

export class UnscopedProcesses {
  readonly #parts: UnscopedProcessesParts
  #isEndingStrays = false

  constructor(parts: UnscopedProcessesParts) {
    this.#parts = parts
  }

  /** Lists the living ones. */
  list(): ScopeProcess[] {
    const { census, unscopedRecord } = this.#parts
    this.#searchAllProcesses()
    census.open(unscopedRecord)
    return describeMembers(unscopedRecord, livingMembers(unscopedRecord, census))
  }

  /** Ends them all. A worker that has dismissed its keeper keeps what it started itself. */
  async end(): Promise<KeeperReport> {
    const { census, closer, unscopedRecord } = this.#parts
    if (!unscopedRecord.isDismissed) this.#searchAllProcesses()
    census.open(unscopedRecord)
    return closer.end(unscopedRecord)
  }

  /** Ends the strays among the keeper's own children, while the worker lives. */
  async endStrays(): Promise<void> {
    const { closer, unscopedRecord, logStrays } = this.#parts
    if (this.#isEndingStrays) return
    this.#isEndingStrays = true
    const { processes } = await closer.end(unscopedRecord)
    this.#isEndingStrays = false
    if (processes.length > 0) logStrays(processes)
  }

  /** From now on searches all processes for the worker's mark, and not only the keeper's descendants. */
  #searchAllProcesses(): void {
    const { census, unscopedRecord, workerMark } = this.#parts
    unscopedRecord.includeExternal()
    try {
      // Releases by an earlier keeper of this worker.
      for (const pid of releasedPids(workerMark)) census.releaseExternal(unscopedRecord, pid)
    } catch {
      // No descriptor is available. What this keeper released itself is known without the notes.
    }
  }
}
