/** Adopts processes that the keeper did not start, and rescans their trees while their scopes are open. */

import type { Census } from '../containment/census.js'
import type { ScopeRecord } from '../containment/scope-record.js'
import { isOutOfDescriptors, platform } from '../platform/current.js'
import type { ProcessName, WorkerMessage } from '../wire/messages.js'
import type { ScopeRegistry } from './scope-registry.js'

// How often the trees are rescanned: a descendant must be known before it becomes an orphan.
const rescanMs = 1_000

export class ExternalProcessTracker {
  readonly #scopes: ScopeRegistry
  readonly #census: Census
  #rescans: NodeJS.Timeout | undefined

  constructor(scopes: ScopeRegistry, census: Census) {
    this.#scopes = scopes
    this.#census = census
  }

  adopt(scope: ScopeRecord | undefined, { process, command }: WorkerMessage & { type: 'adopt' }): void {
    if (scope === undefined) return
    if (this.#census.adopt !== undefined) {
      this.#census.adopt(scope, process, command.number)
      return
    }
    scope.external.adopt(command.isUnread ? this.#read(scope, process.pid) : process)
    scope.commands.started(command.number, process.pid, command.firstSignalTo)
    this.#rescans ??= setInterval(() => this.#rescan(), rescanMs)
  }

  /** Reads when a child of the worker has started. It leads a session, which may outlive it. */
  #read(scope: ScopeRecord, pid: number): ProcessName {
    scope.addGroup(pid, { startTick: 0, session: pid })
    try {
      const stat = platform.statOf(pid)
      // If the worker has reaped it in the meantime, its pid may be that of another process.
      return { pid, startTick: stat?.parent === process.ppid ? stat.startTick : 0 }
    } catch (error) {
      if (!isOutOfDescriptors(error)) throw error
      // Its mark and its session will tell.
      return { pid, startTick: 0 }
    }
  }

  /** An adopted process has exited. Its descendants still belong to the scope. */
  exited(scope: ScopeRecord | undefined, pid: number): void {
    if (scope === undefined) return
    this.#census.adoptedExited?.(scope, pid)
    scope.external.reaped(pid)
    // Its session has members if its pid is still known as that of a session.
    scope.commands.leaderEnded(pid, scope.ownGroupsAmong([pid]))
  }

  #rescan(): void {
    const records = this.#scopes.all().map(({ record }) => record)
    const scopes = records.filter(({ external }) => external.hadAny)
    for (const scope of scopes) if (scope.state === 'open') scope.external.scan()
    if (scopes.length > 0) return
    clearInterval(this.#rescans)
    this.#rescans = undefined
  }
}
