/** The cgroups of the scopes of a worker: each is made for the first command of its scope, and removed with it. */

import { basename, join } from 'node:path'
import { type Cgroups, type ProcessStat, platform } from '../platform/current.js'
import { isInScopeCgroup, scopeCgroupName, scopeOfCgroup } from '../wire/cgroup-names.js'
import type { UsageSummary } from '../wire/usage.js'
import type { ScopeRecord } from './scope-record.js'

const noPids: ReadonlySet<number> = new Set()
const leastReserveBytes = 32 * 1024 ** 2

export class ScopeCgroups {
  readonly #cgroups: Cgroups
  /** The directory of the cgroup of the worker. Undefined if no scope gets a cgroup here. */
  readonly #folder: string | undefined
  /** The cgroups of each scope: more than one if a lost keeper had commands of it. */
  readonly #folders = new Map<ScopeRecord, string[]>()
  /** Those of closed scopes that could not be removed yet. */
  readonly #left = new Set<string>()

  constructor(cgroups: Cgroups, folder?: string) {
    this.#cgroups = cgroups
    this.#folder = folder
  }

  /** Takes over the cgroup that a lost keeper may have made for the scope. */
  inherit(scope: ScopeRecord, folder: string): void {
    this.#folders.set(scope, [folder])
    // The keeper may have been lost while it had stopped the processes.
    attempt(() => this.#cgroups.thaw(folder))
  }

  /** Whether commands start in cgroups. */
  get hasPlaces(): boolean {
    return this.#folder !== undefined
  }

  /** The cgroup in which the commands of the scope start. Throws a `CgroupError` if it cannot be made. */
  placeFor(scope: ScopeRecord): string {
    const folders = this.#of(scope)
    const own = join(this.#folder as string, scopeCgroupName(scope.number, process.pid))
    if (folders.includes(own)) return own
    this.#cgroups.makeScopeCgroup(own)
    const { memory } = scope.limits
    if (memory !== undefined) attempt(() => this.#cgroups.limitMemory(own, backstopFor(memory)))
    this.#folders.set(scope, [...folders, own])
    return own
  }

  /** Whether the scope has a cgroup. */
  has(scope: ScopeRecord): boolean {
    return this.#folders.has(scope)
  }

  /** The living processes in the cgroups of the scope, without those with one of the pids in `except`. */
  processes(scope: ScopeRecord, except: ReadonlySet<number> = noPids): ProcessStat[] {
    const pids = this.#of(scope).flatMap((folder) => this.#cgroups.pidsIn(folder))
    return pids.flatMap((pid) => {
      const stat = except.has(pid) ? undefined : platform.statOf(pid)
      // In this order: the pid may have been reused before it was read.
      return stat?.alive && this.contains(scope, pid) ? stat : []
    })
  }

  /** Whether the process that has this pid is in a cgroup of the scope. */
  contains(scope: ScopeRecord, pid: number): boolean {
    const path = this.#cgroups.pathOf(pid)
    return this.#of(scope).some((folder) => isInScopeCgroup(path, folder))
  }

  isPopulated(scope: ScopeRecord): boolean {
    return this.#of(scope).some((folder) => this.#cgroups.isPopulated(folder))
  }

  /** The number of the scope in whose cgroup a process is, or was when it ended. */
  scopeOf(pid: number): number | undefined {
    const path = this.#folder === undefined ? undefined : this.#cgroups.pathOf(pid)
    const name = `/${basename(this.#folder ?? '')}/`
    const at = path?.indexOf(name) ?? -1
    if (path === undefined || at < 0) return undefined
    // A removed cgroup has ` (deleted)` after its path.
    const [below = ''] = path.slice(at + name.length).split(/[/ ]/, 1)
    return scopeOfCgroup(below)
  }

  /** What the processes in each cgroup of the scope have used. */
  usagesOf(scope: ScopeRecord): UsageSummary[] {
    return this.#of(scope).map((folder) => this.#cgroups.usageOf(folder))
  }

  /** The memory at which the kernel has killed processes of the scope, in bytes. Undefined if it has not. */
  exhaustedMemoryOf(scope: ScopeRecord): number | undefined {
    for (const folder of this.#of(scope)) {
      const bytes = this.#cgroups.exhaustedMemoryOf(folder)
      if (bytes !== undefined) return bytes
    }
    return undefined
  }

  /** Stops the processes of the scope. Resolves with a function that lets them run again. */
  async freeze(scope: ScopeRecord): Promise<() => void> {
    const folders = this.#of(scope)
    const thaw = (): void => {
      for (const folder of folders) attempt(() => this.#cgroups.thaw(folder))
    }
    await Promise.all(folders.map((folder) => this.#cgroups.freeze(folder))).catch(() => {})
    return thaw
  }

  /** Kills the processes of the scope at once. Returns their pids. */
  kill(scope: ScopeRecord): ReadonlySet<number> {
    const killed = new Set<number>()
    for (const folder of this.#of(scope)) {
      attempt(() => {
        for (const pid of this.#cgroups.kill(folder)) killed.add(pid)
      })
    }
    return killed
  }

  /** Moves a process out of the cgroup of its scope. Returns false if the system refuses. */
  moveOut(pid: number): boolean {
    return attempt(() => this.#cgroups.moveOut(pid)) || platform.statOf(pid)?.alive !== true
  }

  /**
   * The scope is closed, or its cgroups hold a process that does not belong to it. Removes them; those that
   * have a living process are removed later.
   */
  close(scope: ScopeRecord): void {
    for (const folder of this.#of(scope)) this.#left.add(folder)
    this.#folders.delete(scope)
    this.#removeLeft()
  }

  /** All scopes are closed: removes the cgroup of the worker, unless another keeper uses it. */
  closeAll(): void {
    this.#removeLeft()
    const folder = this.#folder
    if (folder === undefined) return
    attempt(() => this.#cgroups.below(folder).length === 0 && this.#cgroups.remove(folder))
  }

  /** Without a descriptor none can be removed now. */
  #removeLeft(): void {
    for (const folder of this.#left) attempt(() => this.#cgroups.remove(folder) && this.#left.delete(folder))
  }

  #of(scope: ScopeRecord): readonly string[] {
    return this.#folders.get(scope) ?? []
  }
}

/**
 * The memory that the kernel lets the processes of a scope have, in bytes. A little more than their limit: looks notice
 * that first, and the kernel also counts what belongs to no process, such as cached files.
 */
function backstopFor(bytes: number): number {
  return Math.ceil(bytes + Math.max(bytes / 8, leastReserveBytes))
}

/** Returns whether it succeeded. If not, the cgroup or the process is gone, or the next round tries again. */
function attempt(act: () => void): boolean {
  try {
    act()
    return true
  } catch {
    return false
  }
}
