/**
 * The census of cgroups: a process that the keeper starts for a scope is born in the cgroup of that scope, and
 * so is all that it starts. Nothing leaves it, and nobody needs to be the parent. Another census finds what is
 * in no cgroup: external processes, and those that root has moved to another cgroup.
 */

import type { Containment } from '../containment-level.js'
import { type ProcessUsage, platform } from '../platform/current.js'
import { sumOfUsages, type UsageSummary } from '../wire/usage.js'
import type { Census, Member } from './census.js'
import type { ScopeCgroups } from './scope-cgroups.js'
import type { ScopeRecord } from './scope-record.js'

// When the last process of a cgroup is reaped, the kernel may count it for a moment longer.
const lingerMs = 2
// Each round moves what the last one found. What a moved process starts needs no other round.
const maxMoveRounds = 20

const noPids: ReadonlySet<number> = new Set()

export class CgroupCensus implements Census {
  readonly containment: Containment
  readonly #others: Census
  readonly #cgroups: ScopeCgroups
  /** The scopes that only their cgroup has found not to be empty. */
  readonly #lingering = new WeakSet<ScopeRecord>()

  constructor(others: Census, cgroups: ScopeCgroups) {
    this.containment = cgroups.hasPlaces ? 'cgroup' : others.containment
    this.#others = others
    this.#cgroups = cgroups
  }

  open(scope: ScopeRecord, cgroup?: string): void {
    this.#others.open(scope)
    if (cgroup !== undefined) this.#cgroups.inherit(scope, cgroup)
  }

  leaderStarted(scope: ScopeRecord, pid: number, command: string): void {
    this.#others.leaderStarted(scope, pid, command)
  }

  leaderEnded(scope: ScopeRecord, pid: number, usage: ProcessUsage | undefined): void {
    this.#others.leaderEnded(scope, pid, usage)
  }

  members(scope: ScopeRecord, most = Number.POSITIVE_INFINITY, command?: number): Member[] {
    const members = this.#others.members(scope, most, command)
    // Commands have no cgroups of their own. The other census knows the commands of its processes.
    if (command !== undefined || members.length >= most) return members
    return this.#withCgroup(scope, members)
  }

  knownMembers(scope: ScopeRecord): Member[] {
    return this.#withCgroup(scope, this.#others.knownMembers?.(scope) ?? this.#others.members(scope))
  }

  isEmpty(scope: ScopeRecord, command?: number): boolean {
    if (!this.#others.isEmpty(scope, command)) return false
    if (command !== undefined || !this.#cgroups.isPopulated(scope)) return true
    this.#lingering.add(scope)
    return false
  }

  prepareScan(): Promise<void> {
    return this.#others.prepareScan?.() ?? Promise.resolve()
  }

  confirmIdentity(scope: ScopeRecord, member: Member): boolean {
    if (this.#others.confirmIdentity(scope, member)) return true
    const { pid, startTick } = member.stat
    return platform.statOf(pid)?.startTick === startTick && this.#cgroups.contains(scope, pid)
  }

  freeze(scope: ScopeRecord): Promise<() => void> {
    return this.#cgroups.freeze(scope)
  }

  kill(scope: ScopeRecord): ReadonlySet<number> {
    return this.#cgroups.has(scope) ? this.#cgroups.kill(scope) : noPids
  }

  async waitForChange(scope: ScopeRecord, ms: number): Promise<void> {
    const isLingering = this.#lingering.delete(scope)
    await this.#others.waitForChange(scope, isLingering ? Math.min(ms, lingerMs) : ms)
  }

  delayReaping(ms: number): void {
    this.#others.delayReaping?.(ms)
  }

  release(scope: ScopeRecord, pid: number): void {
    this.#moveOut(scope, pid)
    this.#others.release(scope, pid)
  }

  releaseExternal(scope: ScopeRecord, pid: number): void {
    this.#moveOut(scope, pid)
    this.#others.releaseExternal(scope, pid)
  }

  exhaustedMemoryOf(scope: ScopeRecord): number | undefined {
    return this.#cgroups.exhaustedMemoryOf(scope)
  }

  usageOf(scope: ScopeRecord): UsageSummary {
    return sumOfUsages(this.#cgroups.usagesOf(scope))
  }

  close(scope: ScopeRecord, hasSurvivors: boolean): void {
    this.#others.close(scope, hasSurvivors)
    this.#cgroups.close(scope)
  }

  /** Adds what is in the cgroup of the scope and not among these members. */
  #withCgroup(scope: ScopeRecord, members: Member[]): Member[] {
    if (!this.#cgroups.has(scope)) return members
    const known = new Set(members.map(({ stat }) => stat.pid))
    for (const stat of this.#cgroups.processes(scope, known)) {
      scope.remember(stat)
      members.push({ stat, isOwnChild: false })
    }
    return members
  }

  /**
   * Moves a process and its descendants to the cgroup of the keeper, and what is in its session or group: the
   * same processes that are released by the other census.
   */
  #moveOut(scope: ScopeRecord, root: number): void {
    const groups = new Set(scope.groupsOf(root))
    const released = new Set([root])
    for (let round = 0; round < maxMoveRounds && this.#cgroups.has(scope); round++) {
      const inside = this.#cgroups.processes(scope)
      // Parents are older, but a pid may be lower than that of its parent: so until nothing is added.
      for (let size = 0; size !== released.size; ) {
        size = released.size
        for (const { pid, parent, group, session } of inside) {
          if (released.has(parent) || groups.has(group) || groups.has(session)) released.add(pid)
        }
      }
      const due = inside.filter(({ pid }) => released.has(pid))
      if (due.length === 0) return
      // Killing the cgroup would kill a released process: from here on the scope is ended without it.
      if (!due.every(({ pid }) => this.#cgroups.moveOut(pid))) this.#cgroups.close(scope)
    }
  }
}
