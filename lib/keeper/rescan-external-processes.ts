/** Adopts processes that the keeper did not start, and rescans their trees while their scopes are open. */

import type { Census } from '../containment/census.js'
import type { ScopeRecord } from '../containment/scope-record.js'
import { platform } from '../platform/current.js'
import type { WorkerMessage } from '../wire/messages.js'
import type { ScopeRegistry } from './scope-registry.js'

// How often the trees are rescanned: a descendant must be known before it becomes an orphan.
const rescanMs = 1_000
// How much of the keeper's time the rescans may take.
const shareOfTime = 0.05

export class ExternalProcessTracker {
  readonly #scopes: ScopeRegistry
  readonly #census: Census
  readonly #onAdopted: (scope: ScopeRecord, pid: number) => void
  #rescans: NodeJS.Timeout | undefined

  constructor(scopes: ScopeRegistry, census: Census, onAdopted: (scope: ScopeRecord, pid: number) => void) {
    this.#scopes = scopes
    this.#census = census
    this.#onAdopted = onAdopted
  }

  adopt(scope: ScopeRecord | undefined, { process, command }: WorkerMessage & { type: 'adopt' }): void {
    if (scope === undefined) return
    if (this.#census.adopt !== undefined) {
      this.#census.adopt(scope, process, command.number)
      this.#onAdopted(scope, process.pid)
      return
    }
    scope.external.adopt(process)
    this.#onAdopted(scope, process.pid)
    scope.commands.started(command.number, process.pid, command.firstSignalTo)
    this.#rescans ??= setTimeout(() => void this.#rescan(), rescanMs)
  }

  /** An adopted process has exited. Its descendants still belong to the scope. */
  exited(scope: ScopeRecord | undefined, pid: number): void {
    if (scope === undefined) return
    this.#census.adoptedExited?.(scope, pid)
    scope.external.reaped(pid)
    // Its session has members if its pid is still known as that of a session.
    scope.commands.leaderEnded(pid, scope.ownGroupsAmong([pid]))
  }

  async #rescan(): Promise<void> {
    const startedAt = performance.now()
    // If it fails, so do the scans, and the next ones catch up.
    await platform.readAhead?.().catch(() => {})
    const records = this.#scopes.all().map(({ record }) => record)
    const scopes = records.filter(({ external }) => external.hadAny)
    for (const scope of scopes) if (scope.state === 'open') scope.external.scan(true)
    const pauseMs = Math.max(rescanMs, (performance.now() - startedAt) / shareOfTime)
    this.#rescans = scopes.length === 0 ? undefined : setTimeout(() => void this.#rescan(), pauseMs)
  }
}
