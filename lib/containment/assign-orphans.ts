/**
 * Assigns each orphan that became a child of the keeper to its scope: by a scan that has seen it before, by
 * its mark, or by its group or session. An orphan of unknown origin goes to a closing scope, once no open
 * scope can have started it.
 */

import { type ProcessStat, type ProcessUsage, platform } from '../platform/current.js'
import { markName } from '../wire/mark.js'
import type { KnownProcesses } from './known-processes.js'
import type { ReleasedMarks } from './released-marks.js'
import type { ScopeChanges } from './scope-changes.js'
import type { ScopeRecord } from './scope-record.js'

type Owner = ScopeRecord | 'unknown' | 'survivor' | 'released'

const noScope = -1

export interface OrphanAssignmentParts {
  /** The scope for orphans that no scope of the worker can have started. */
  readonly strays: ScopeRecord
  /** Released processes: they belong to no scope and are never ended. */
  readonly released: KnownProcesses
  /** Only the marks of closed scopes count: every process that still has one of these is a released one. */
  readonly releasedMarks: ReleasedMarks
  readonly changes: ScopeChanges
  readonly isEmptyGroup: (group: number) => boolean
  /** The number of the scope that the system itself names for a process. Absent where it names none. */
  readonly scopeOf?: ((pid: number) => number | undefined) | undefined
}

export class OrphanAssignment {
  readonly #parts: OrphanAssignmentParts
  readonly #scopes = new Set<ScopeRecord>()
  readonly #byMark = new Map<string, ScopeRecord>()
  readonly #byNumber = new Map<number, ScopeRecord>()
  /**
   * The owner of each orphan that the kernel gave the keeper, by pid. Invariant: no child is reaped between a
   * scan and what follows from it.
   */
  readonly #owners = new Map<number, Owner>()
  /** The numbers that each orphan may hold: its pid, its group and its session. */
  readonly #numbers = new Map<number, readonly number[]>()
  /** The orphans of unknown origin, as they were when their owner was looked up. */
  readonly #unknown = new Map<number, ProcessStat>()
  /**
   * The start times of orphans that ended before their mark could be read. Each may have left another orphan
   * of any scope: so no scope is empty until they are reaped and another scan was made.
   */
  readonly #endedUnread = new Map<number, number>()

  constructor(parts: OrphanAssignmentParts) {
    this.#parts = parts
  }

  open(scope: ScopeRecord): void {
    this.#scopes.add(scope)
    this.#byMark.set(scope.mark, scope)
    this.#byNumber.set(scope.number, scope)
  }

  /** The scope is closed: the orphans that it still has are survivors. */
  close(scope: ScopeRecord): void {
    for (const pid of this.keeperChildrenOf(scope)) {
      if (!this.#owners.has(pid)) continue
      this.#owners.set(pid, 'survivor')
      this.#unknown.delete(pid)
    }
    this.#scopes.delete(scope)
    this.#byMark.delete(scope.mark)
    this.#byNumber.delete(scope.number)
  }

  /** Whether this child of the keeper is an orphan that has been assigned. */
  has(pid: number): boolean {
    return this.#owners.has(pid)
  }

  /** A new process has this pid. */
  forgetPid(pid: number): void {
    const { released, strays } = this.#parts
    released.forgetPid(pid)
    strays.forgetPid(pid)
    for (const scope of this.#scopes) scope.forgetPid(pid)
  }

  /** Looks up the owner of a new orphan. */
  assign(pid: number): void {
    const stat = platform.statOf(pid)
    if (stat !== undefined) this.#assign(stat)
  }

  /**
   * The environment of a process cannot be read during its exec: looks up the owners again of orphans that
   * have become another program.
   */
  retryUnknown(): void {
    for (const [pid, { image }] of this.#unknown) this.#retry(pid, image)
  }

  /** The process was released. Returns whether it was an orphan of the scope. */
  release(scope: ScopeRecord, pid: number): boolean {
    if (!scope.orphans.delete(pid)) return false
    this.#owners.set(pid, 'released')
    return true
  }

  /** The keeper's own children that belong to the scope, dead or alive, until they are reaped. */
  *keeperChildrenOf(scope: ScopeRecord): Generator<number> {
    yield* scope.leaders.keys()
    yield* scope.orphans
    if (this.#unknown.size === 0) return
    const { earliestOpen, oldestClosing } = this.#possibleOwners()
    for (const [pid, { startTick }] of this.#unknown) {
      // An orphan of unknown origin waits until all scopes close that were open when it started.
      if (earliestOpen <= startTick) continue
      const owner = oldestClosing.firstStartTick <= startTick ? oldestClosing : this.#parts.strays
      if (owner === scope) yield pid
    }
  }

  /** Whether an orphan that may have been the scope's has ended unread: it may have left another one. */
  mayHaveMore(scope: ScopeRecord): boolean {
    for (const startTick of this.#endedUnread.values()) {
      if (scope === this.#parts.strays || scope.firstStartTick <= startTick) return true
    }
    return false
  }

  /** An orphan was reaped. */
  reaped(pid: number, usage: ProcessUsage | undefined): void {
    const { released, changes, isEmptyGroup } = this.#parts
    const owner = this.#owners.get(pid)
    const numbers = this.#numbers.get(pid) ?? []
    this.#owners.delete(pid)
    this.#numbers.delete(pid)
    this.#unknown.delete(pid)
    this.#endedUnread.delete(pid)
    if (usage !== undefined) this.#scopeOfEnded(pid, owner)?.usage.add(usage)
    if (typeof owner === 'object') {
      owner.orphans.delete(pid)
      changes.note(owner)
      // A scope that is closing does not live long enough for a number to be reused.
      if (owner.state === 'open') for (const number of numbers) owner.forgetGroupIfEmpty(number, isEmptyGroup)
    } else if (owner === 'unknown') {
      changes.noteAll()
    } else if (owner === 'released') {
      released.seen.delete(pid)
      for (const number of numbers) released.forgetGroupIfEmpty(number, isEmptyGroup)
    }
  }

  /** A process that was ended with its parent may be reaped before it was assigned. A scan has seen it then. */
  #scopeOfEnded(pid: number, owner: Owner | undefined): ScopeRecord | undefined {
    if (owner !== undefined) return typeof owner === 'object' ? owner : undefined
    for (const scope of this.#scopes) if (scope.seen.has(pid)) return scope
    return undefined
  }

  /** The scopes that may have started an orphan of unknown origin: every scope that is not younger. */
  #possibleOwners(): { earliestOpen: number; oldestClosing: ScopeRecord } {
    let earliestOpen = Number.POSITIVE_INFINITY
    let oldestClosing = this.#parts.strays
    for (const scope of this.#scopes) {
      if (scope.state === 'open') earliestOpen = Math.min(earliestOpen, scope.firstStartTick)
      else if (scope.firstStartTick < oldestClosing.firstStartTick) oldestClosing = scope
    }
    return { earliestOpen, oldestClosing }
  }

  #retry(pid: number, image: string): void {
    const stat = platform.statOf(pid)
    if (stat?.alive && stat.image !== image) this.#assign(stat)
  }

  #assign(stat: ProcessStat): void {
    const { pid, startTick } = stat
    const owner = this.#ownerOf(stat)
    const isEndedUnread = owner === 'unknown' && (platform.statOf(pid)?.ending ?? true)
    // Up to here it may throw for lack of file descriptors: then another scan assigns the orphan.
    this.#owners.set(pid, owner)
    this.#numbers.set(pid, [pid, stat.group, stat.session])
    this.#unknown.delete(pid)
    if (isEndedUnread) this.#endedUnread.set(pid, startTick)
    else if (owner === 'unknown') this.#unknown.set(pid, stat)
    else if (owner !== 'released') addOrphan(owner, pid)
  }

  #ownerOf(stat: ProcessStat): ScopeRecord | 'unknown' | 'released' {
    const { released, releasedMarks, scopeOf } = this.#parts
    if (released.hasSeen(stat) || released.ownsGroupOf(stat)) return 'released'
    const named = this.#byNumber.get(scopeOf?.(stat.pid) ?? noScope)
    if (named !== undefined) return named
    for (const scope of this.#scopes) if (scope.hasSeen(stat)) return scope
    const mark = stat.ending ? undefined : platform.environmentOf(stat.pid, markName)
    const marked = mark === undefined ? undefined : this.#byMark.get(mark)
    if (marked !== undefined) return marked
    if (mark !== undefined && releasedMarks.has(mark)) return 'released'
    for (const scope of this.#scopes) if (scope.ownsGroupOf(stat)) return scope
    return 'unknown'
  }
}

function addOrphan({ orphans, leaders, usage }: ScopeRecord, pid: number): void {
  orphans.add(pid)
  usage.noteAlive(leaders.size + orphans.size)
}
