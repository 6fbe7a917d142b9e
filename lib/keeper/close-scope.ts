/**
 * Closes a scope: stops its launches, ends its processes, removes its directories. Also ends single commands.
 */

import type { Census } from '../containment/census.js'
import { CommandCensus } from '../containment/command-census.js'
import { scanFailedMessage } from '../containment/ended-processes.js'
import { RetainedFolders, removeFolders } from '../containment/remove-scope-folders.js'
import type { ScopeRecord } from '../containment/scope-record.js'
import { terminate } from '../containment/terminate.js'
import type { UnscopedRecord } from '../containment/unscoped-record.js'
import type { NativeCalls } from '../platform/current.js'
import type { EndedProcess, KeeperMessage, KeeperReport, LeftFolder, ScopeFolder } from '../wire/messages.js'
import type { KeeperScope } from './keeper-scope.js'
import type { LaunchRegistry } from './launch-registry.js'

// With more external processes than this, looking at them would delay the first signal.
const maxLooksAtEnd = 20

export interface ScopeCloserParts {
  readonly census: Census
  readonly launches: LaunchRegistry
  readonly native: NativeCalls | undefined
  readonly unscopedRecord: UnscopedRecord
  readonly send: (message: KeeperMessage) => void
  /** A scope begins to close. */
  readonly onClosing: (scope: ScopeRecord) => void
}

export class ScopeCloser {
  readonly #parts: ScopeCloserParts
  /** The directories of closed scopes that released commands still use. */
  readonly #keptFolders: RetainedFolders

  constructor(parts: ScopeCloserParts) {
    this.#parts = parts
    const { census } = parts
    this.#keptFolders = new RetainedFolders(
      census.hasReleased === undefined ? undefined : (scope) => census.hasReleased?.(scope) === true
    )
  }

  /** Closes a scope once, however often it is called. Resolves when the scope is closed. */
  close(scope: KeeperScope, cause: Pick<KeeperReport, 'reason' | 'exceeded'> = {}): Promise<KeeperReport> {
    this.beginClosing(scope.record)
    scope.ending ??= this.end(scope.record).then((report) => ({ ...report, ...cause }))
    return scope.ending
  }

  /** From here on the scope starts nothing. */
  beginClosing(scope: ScopeRecord): void {
    if (scope.state !== 'open') return
    scope.state = 'closing'
    this.#parts.onClosing(scope)
    this.#parts.launches.abandonWaiting(scope)
  }

  /** Ends the processes of a scope and removes its directories. */
  async end(scope: ScopeRecord): Promise<KeeperReport> {
    const { census, native, unscopedRecord } = this.#parts
    // Before the processes are gone, but only where it takes no time that the first signal would wait for.
    if (scope.external.count > 0 && scope.external.count <= maxLooksAtEnd) scope.external.scan(true)
    const processes = (await census.terminate?.(scope, scope)) ?? (await terminate(census, scope, native))
    scope.usage.noteAlive(processes.length)
    const usage = scope.usage.total(scope.external.usage.total(), census.usageOf?.(scope))
    this.#reportUnseen(scope)
    scope.state = 'closed'
    const hasSurvivors = processes.some(({ ended }) => ended === 'survived')
    census.close(scope, hasSurvivors)
    // While its mark stays among the others, survivors are not reported a second time as the worker's own.
    if (!hasSurvivors) unscopedRecord.openMarks.delete(scope.mark)
    scope.external.close()
    const isKept = ({ user }: ScopeFolder): boolean => user !== undefined && scope.hasReleased
    this.#keptFolders.retain(scope.number, scope.mark, scope.folders.filter(isKept))
    const leftFolders = await removeFolders(scope.folders.filter((folder) => !isKept(folder)))
    // The released commands may have exited already.
    leftFolders.push(...(await this.#keptFolders.removeUnused(scope.number)))
    return { processes, leftFolders, usage }
  }

  /** Ends one command with its tree. If its scope is closing, the command ends with the scope. */
  async endCommand(
    { record, ending }: KeeperScope,
    command: number,
    killSignal: NodeJS.Signals
  ): Promise<readonly EndedProcess[]> {
    if (ending !== undefined) return (await ending).processes
    const { graceMs, firstSignalTo } = record
    record.commands.startEnding(command)
    try {
      const { census, native } = this.#parts
      const how = { graceMs, killSignal, firstSignalTo }
      return (
        (await census.terminate?.(record, how, command)) ??
        (await terminate(new CommandCensus(census, command), record, native, how))
      )
    } finally {
      this.#reportUnseen(record)
      record.commands.finishEnding(command)
    }
  }

  /** A process of the scope has exited: removes its kept directories if it was their last user. */
  async removeUnusedFolders(scope: number): Promise<void> {
    const leftFolders = await this.#keptFolders.removeUnused(scope)
    if (leftFolders.length === 0) return
    const message = 'directories of a closed scope could not be removed'
    this.#parts.send({ type: 'log', level: 'error', fields: { leftFolders }, message })
  }

  /** Does the same for all scopes. Resolves with the directories that could not be removed. */
  removeAllUnusedFolders(): Promise<LeftFolder[]> {
    return this.#keptFolders.removeAllUnused()
  }

  /** Reports that the processes of a scope could not be read. The list of survivors may be empty then. */
  #reportUnseen(scope: ScopeRecord): void {
    const { number, scanFailure: why } = scope
    if (why === undefined) return
    scope.scanFailure = undefined
    this.#parts.send({
      type: 'log',
      level: 'error',
      fields: { scope: number, why },
      message: scanFailedMessage
    })
  }
}
