/** The scopes of the keeper, by number: opens them, and gives each its deadline and its directories. */

import { basename } from 'node:path'
import type { Census } from '../containment/census.js'
import { ScopeRecord } from '../containment/scope-record.js'
import type { UnscopedRecord } from '../containment/unscoped-record.js'
import type { NativeCalls } from '../platform/current.js'
import { ExpiryQueue } from '../time/expiry-queue.js'
import { scopeFolderPrefix } from '../wire/folder-names.js'
import { markOf, workerIn } from '../wire/mark.js'
import type { WorkerMessage } from '../wire/messages.js'
import type { ScopeCloser } from './close-scope.js'
import { KeeperScope } from './keeper-scope.js'
import type { LimitWatch } from './limit-watch.js'

export interface ScopeRegistryParts {
  readonly census: Census
  readonly closer: ScopeCloser
  readonly native: NativeCalls | undefined
  readonly unscopedRecord: UnscopedRecord
  readonly limitWatch: LimitWatch
  /** The common prefix of the marks of all scopes of the worker. */
  readonly workerMark: string
}

export class ScopeRegistry {
  readonly #parts: ScopeRegistryParts
  /** The scopes that are not closed, and those whose closing has not been confirmed to the worker yet. */
  readonly #scopes = new Map<number, KeeperScope>()
  readonly #deadlines = new ExpiryQueue<KeeperScope>(Number.POSITIVE_INFINITY)
  #isEnding = false

  constructor(parts: ScopeRegistryParts) {
    this.#parts = parts
  }

  open({ scope: number, opening, isInherited, cgroup }: WorkerMessage & { type: 'open' }): void {
    // A second scope of this number would hide the first, and nothing would end the processes of that one.
    if (this.#scopes.has(number)) return
    const { census, closer, native, unscopedRecord, limitWatch, workerMark } = this.#parts
    const record = new ScopeRecord(number, markOf(workerMark, number), opening, native)
    const onDeadline = (): void => void closer.close(scope, { reason: 'deadline' })
    const scope = new KeeperScope(record, opening, this.#deadlines, onDeadline)
    // No process of the scope is older than the worker.
    if (isInherited) record.external.mayExistSince(workerIn(workerMark)?.startTick ?? 0)
    this.#scopes.set(number, scope)
    census.open(record, cgroup)
    unscopedRecord.openMarks.add(record.mark)
    if (opening.limits !== undefined) limitWatch.add(record)
    // A hung worker may wake up before it is aborted. It must not start anything then.
    if (this.#isEnding) closer.beginClosing(record)
  }

  get(number: number): KeeperScope | undefined {
    return this.#scopes.get(number)
  }

  recordOf(number: number): ScopeRecord | undefined {
    return this.#scopes.get(number)?.record
  }

  all(): KeeperScope[] {
    return [...this.#scopes.values()]
  }

  delete(number: number): void {
    this.#scopes.delete(number)
  }

  /** Has a directory removed when the scope is closed. */
  addFolder({ scope: number, folder }: WorkerMessage & { type: 'add-folder' }): void {
    // Only a directory that this worker made for this scope: no other may be removed.
    if (basename(folder.path).startsWith(scopeFolderPrefix(this.#parts.workerMark, number)))
      this.recordOf(number)?.folders.push(folder)
  }

  /** From here on every scope that is opened begins to close at once. */
  beginEnding(): void {
    this.#isEnding = true
  }
}
