/**
 * Releases processes from their scope, so that they may outlive it. Each release is noted in a file, so that
 * later keepers and sweeps spare the process, too.
 */

import type { Census } from '../containment/census.js'
import { recordRelease, recordReleasedProcess, squattedLine } from '../containment/release-registry.js'
import type { ScopeRecord } from '../containment/scope-record.js'
import type { UnscopedRecord } from '../containment/unscoped-record.js'
import { platform } from '../platform/current.js'
import type { KeeperMessage, ProcessName } from '../wire/messages.js'

export class ScopeReleaser {
  readonly #census: Census
  readonly #unscopedRecord: UnscopedRecord
  readonly #send: (message: KeeperMessage) => void
  #isSquattingReported = false

  constructor(census: Census, unscopedRecord: UnscopedRecord, send: (message: KeeperMessage) => void) {
    this.#census = census
    this.#unscopedRecord = unscopedRecord
    this.#send = send
  }

  /** Releases a command that the keeper started. */
  releaseCommand(scope: ScopeRecord | undefined, pid: number): void {
    if (!scope?.release(pid)) return
    scope.hasReleased = true
    this.#census.release(scope, pid)
    this.#unscopedRecord.releasedMarks.add(scope.mark)
    this.#note(pid, () => recordRelease(scope.mark))
  }

  /** Releases a process that the scope has adopted. */
  releaseAdopted(scope: ScopeRecord | undefined, process: ProcessName): void {
    const { pid, startTick } = process
    // It may have exited, and its pid may have been reused.
    if (this.#census.adopt !== undefined) {
      if (scope !== undefined) this.#census.releaseExternal(scope, pid)
      return
    }
    if (!scope?.external.has(pid) || platform.statOf(pid)?.startTick !== startTick) return
    scope.release(pid)
    this.#census.releaseExternal(scope, pid)
    this.#note(pid, () => recordReleasedProcess(process))
  }

  /** Writes the note. Warns once if another user has taken the name of the directory for notes. */
  #note(pid: number, write: () => readonly string[]): void {
    // Elsewhere nothing would end it later.
    if (!platform.findsProcessesByMark) return
    try {
      const squatted = write()
      if (squatted.length === 0 || this.#isSquattingReported) return
      this.#isSquattingReported = true
      this.#send({ type: 'log', level: 'warn', fields: {}, message: squattedLine(squatted) })
    } catch (error) {
      this.#send({ type: 'log', level: 'error', fields: { pid }, message: (error as Error).message })
    }
  }
}
