/** The worker's link to one keeper: everything that the worker can ask of it. */

import { join } from 'node:path'
import type { ScopeProcess } from '../platform/current.js'
import { scopeCgroupName } from '../wire/cgroup-names.js'
import { markOf } from '../wire/mark.js'
import type {
  EndedProcess,
  ExternalCommand,
  KeeperReport,
  ProcessName,
  ScopeFolder,
  ScopeOpening,
  WorkerSettings
} from '../wire/messages.js'
import { KeeperLifecycle } from './keeper-lifecycle.js'
import type { LaunchListener, LaunchOrder } from './launch-queue.js'
import { nextCommandNumber, nextScopeNumber } from './sequence-numbers.js'

export class KeeperLink extends KeeperLifecycle {
  /** The keeper that replaced this one after it was lost. */
  successor: KeeperLink | undefined

  /** Opens a scope and returns its number: a new one, unless another keeper has the scope as well. */
  openScope(opening: ScopeOpening, scope = nextScopeNumber()): number {
    this.openScopes.add(scope)
    this.channel.sendInBatch({ type: 'open', scope, opening })
    return scope
  }

  /** Opens a scope of a lost keeper of this worker. `cgroup` is what it was given by `cgroupOf`. */
  inheritScope(scope: number, opening: ScopeOpening, cgroup: string | undefined): void {
    this.openScopes.add(scope)
    this.channel.sendInBatch({ type: 'open', scope, opening, isInherited: true, cgroup })
  }

  /** Sets the deadline of a scope, in ms of the shared clock (`time/shared-clock.ts`); undefined for none. */
  setDeadline(scope: number, deadlineAt: number | undefined): void {
    this.channel.send({ type: 'deadline', scope, deadlineAt })
  }

  /**
   * Ends all processes of the scope. Resolves when each is proven gone or named as a survivor. Resolves with
   * undefined if the keeper was lost before it could answer, or did not accept the scope.
   */
  closeScope(scope: number): Promise<KeeperReport | undefined> {
    this.launches.cancelScope(scope)
    if (this.isLost) return Promise.resolve(undefined)
    return this.requests.closeScope(scope)
  }

  /**
   * Ends one command of the scope and everything that it has started. Resolves with how each process ended,
   * when that is proven. Resolves with undefined if the keeper was lost before it could answer.
   */
  terminate(
    scope: number,
    command: number,
    killSignal: NodeJS.Signals
  ): Promise<readonly EndedProcess[] | undefined> {
    if (this.isLost) return Promise.resolve(undefined)
    return this.requests.terminate(scope, command, killSignal)
  }

  /** Resolves when all messages that the keeper has sent so far have been read, or when the keeper is lost. */
  heardAll(): Promise<void> {
    return this.isLost ? Promise.resolve() : this.requests.ping()
  }

  /** The living processes of the scope. Rejects if the keeper could not list them. */
  list(scope: number): Promise<readonly ScopeProcess[]> {
    return this.isLost ? Promise.resolve([]) : this.requests.list(scope)
  }

  /** Has the keeper run the hooks of a module. Rejects if the module has none that could be run. */
  addHooks(url: string): Promise<void> {
    if (this.isLost) return Promise.reject(new Error('there is no keeper that could run them'))
    return this.requests.addHooks(url)
  }

  removeHooks(url: string): void {
    this.channel.send({ type: 'remove-hooks', url })
  }

  /** Launches a command and returns its id. `listener` receives its events. */
  launch(scope: number, order: LaunchOrder, listener: LaunchListener): number {
    return this.launches.add(scope, order, listener)
  }

  /**
   * A stdio connection of a launch failed with this code, or may be lost if there is no code. The keeper
   * knows whether it has the connection, and whether the failure came too late to matter.
   */
  stdioLost(id: number, code?: string): void {
    this.channel.send({ type: 'stdio-lost', id, code })
  }

  /** Signals the process of a launch, not its children. */
  signal(id: number, signal: NodeJS.Signals): void {
    this.launches.signal(id, signal)
  }

  /** Adds a process to the scope that the keeper did not start. */
  adopt(
    scope: number,
    process: ProcessName,
    command: ExternalCommand = { number: nextCommandNumber() }
  ): void {
    this.channel.send({ type: 'adopt', scope, process, command })
  }

  /** An adopted process has exited and the worker has reaped it: its pid may be reused. */
  reportReaped(scope: number, pid: number): void {
    this.channel.send({ type: 'reaped', scope, pid })
  }

  /** Releases a process that the keeper has started, with all its descendants: they outlive the scope. */
  release(scope: number, pid: number): void {
    this.channel.send({ type: 'release', scope, pid })
  }

  /** `release` for an adopted process. */
  releaseAdopted(scope: number, process: ProcessName): void {
    this.channel.send({ type: 'release-adopted', scope, process })
  }

  /** Has a directory removed when every process of the scope is gone. */
  addFolder(scope: number, folder: ScopeFolder): void {
    this.channel.send({ type: 'add-folder', scope, folder })
  }

  /** The directory of the cgroup in which the keeper starts the commands of the scope, if it has one. */
  cgroupOf(scope: number): string | undefined {
    return this.cgroup === undefined ? undefined : join(this.cgroup, scopeCgroupName(scope, this.pid))
  }

  /** The mark that the processes of the scope carry. */
  markOf(scope: number): string {
    return markOf(this.workerMark, scope)
  }

  /** Sets how the keeper treats the worker itself. */
  setWorkerSettings(settings: WorkerSettings): void {
    this.channel.send({ type: 'settings', settings })
  }

  /** Shows that the worker's event loop is not blocked. */
  sendHeartbeat(): void {
    this.channel.send({ type: 'heartbeat' })
  }
}
