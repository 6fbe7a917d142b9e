/**
 * The census of a system with containers: each command is in one with everything that it starts, so that nothing
 * has to be searched.
 */

import type { Containment } from '../containment-level.js'
import {
  type ContainedCommand,
  type Container,
  type ContainerEvents,
  type Containers,
  type ProcessStat,
  platform
} from '../platform/current.js'
import type { EndedProcess, ProcessName } from '../wire/messages.js'
import { summaryOf, sumOfUsages, type UsageSummary } from '../wire/usage.js'
import type { Census, Member } from './census.js'
import { endContainers } from './end-containers.js'
import type { ScopeRecord, TerminateOptions } from './scope-record.js'

export class ContainerCensus implements Census {
  readonly containment: Containment
  /** The containers of each scope, by the number of the command. */
  readonly #byScope = new Map<ScopeRecord, Map<number, Container>>()
  /** The containers that were released, by the number of their scope. */
  readonly #released = new Map<number, Set<Container>>()
  readonly #containers: Containers

  constructor(containers: Containers) {
    this.#containers = containers
    this.containment = containers.containment
  }

  open(scope: ScopeRecord): void {
    if (!this.#byScope.has(scope)) this.#byScope.set(scope, new Map())
  }

  /** Starts a command in a container of its own. `number` is that of the command. */
  start(
    scope: ScopeRecord,
    number: number,
    command: ContainedCommand,
    events: ContainerEvents
  ): Container | undefined {
    const container = this.#containers.start(command, events)
    if (container !== undefined) this.#add(scope, number, container)
    return container
  }

  adopt(scope: ScopeRecord, { pid }: ProcessName, command: number): void {
    const container = this.#containers.adopt(pid)
    if (container !== undefined) this.#add(scope, command, container)
  }

  adoptedExited(scope: ScopeRecord, pid: number): void {
    for (const container of this.#of(scope)) if (container.pid === pid) container.leaderExited()
    this.#closeEmpty(scope)
  }

  leaderStarted(scope: ScopeRecord, pid: number, command: string): void {
    scope.addLeader(pid, command)
  }

  /** What the command has used is read from its container, for its descendants are in that, too. */
  leaderEnded(scope: ScopeRecord, pid: number): void {
    scope.leaders.delete(pid)
    scope.commands.leaderEnded(pid, new Map())
    this.#closeEmpty(scope)
    this.hasReleased(scope.number)
  }

  members(scope: ScopeRecord, _most?: number, command?: number): Member[] {
    const stats = this.#of(scope, command).flatMap((container) => container.members())
    return stats.map((stat) => ({ stat, isOwnChild: false }))
  }

  isEmpty(scope: ScopeRecord, command?: number): boolean {
    return this.#of(scope, command).every((container) => container.isEmpty())
  }

  /** Nothing is signalled by pid. */
  confirmIdentity(): boolean {
    return false
  }

  /** Without effect for a process that is in the container of a command. */
  release(scope: ScopeRecord, pid: number): void {
    for (const [command, container] of this.#byScope.get(scope) ?? []) {
      if (container.pid !== pid) continue
      container.release()
      this.#byScope.get(scope)?.delete(command)
      const released = this.#released.get(scope.number) ?? new Set()
      this.#released.set(scope.number, released.add(container))
    }
  }

  hasReleased(scope: number): boolean {
    const released = this.#released.get(scope)
    for (const container of released ?? []) {
      if (!container.isEmpty()) continue
      released?.delete(container)
      container.close()
    }
    if (released?.size === 0) this.#released.delete(scope)
    return this.#released.has(scope)
  }

  releaseExternal(scope: ScopeRecord, pid: number): void {
    this.release(scope, pid)
  }

  async terminate(scope: ScopeRecord, how: TerminateOptions, command?: number): Promise<EndedProcess[]> {
    const commandOf = (stat: ProcessStat): string => scope.leaders.get(stat.pid) ?? platform.commandOf(stat)
    const ended = await endContainers(() => this.#of(scope, command), how, commandOf)
    this.#closeEmpty(scope)
    return ended
  }

  /** Processes that have ended in a container in which others run count, too. */
  usageOf(scope: ScopeRecord): UsageSummary {
    const open = this.#of(scope).flatMap((container) => container.usage() ?? [])
    if (open.length === 0) return {}
    return sumOfUsages([{ cpuMs: scope.usage.endedCpuMs }, ...open.map(summaryOf)])
  }

  waitForChange(_scope: ScopeRecord, ms: number): Promise<void> {
    return new Promise((resolve) => setTimeout(resolve, ms))
  }

  close(scope: ScopeRecord, hasSurvivors: boolean): void {
    this.#closeEmpty(scope)
    // What has survived stays contained: it ends at the latest with this process.
    if (!hasSurvivors) this.#byScope.delete(scope)
  }

  #add(scope: ScopeRecord, command: number, container: Container): void {
    this.open(scope)
    this.#byScope.get(scope)?.set(command, container)
  }

  #of(scope: ScopeRecord, command?: number): Container[] {
    const containers = this.#byScope.get(scope)
    if (containers === undefined) return []
    if (command === undefined) return [...containers.values()]
    const container = containers.get(command)
    return container === undefined ? [] : [container]
  }

  /** Closes the containers without a process, after what these have used was added to that of the scope. */
  #closeEmpty(scope: ScopeRecord): void {
    const containers = this.#byScope.get(scope)
    for (const [command, container] of containers ?? []) {
      if (!container.isEmpty()) continue
      containers?.delete(command)
      const usage = container.usage()
      if (usage !== undefined) scope.usage.add(usage)
      container.close()
    }
  }
}
