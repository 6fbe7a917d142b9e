/**
 * The census without a subreaper: it scans every process of the machine. A scan finds the known processes of
 * a scope, those that were born in a group or session of theirs, those that have the mark of the scope and no
 * ancestor of other origin, and all descendants of these. It misses a daemon that leaves its session and
 * clears its environment before any scan sees it.
 */

import { type ProcessStat, type ProcessUsage, platform } from '../platform/current.js'
import { SharedTask } from '../time/shared-task.js'
import { markName, workerMarkIn } from '../wire/mark.js'
import type { Census, Member } from './census.js'
import type { OrphanAdopter } from './find-orphan-adopter.js'
import { KnownProcesses } from './known-processes.js'
import { isEmptyGroup, pidExists } from './process-identity.js'
import { type AncestorKind, originOf } from './process-origin.js'
import { type ProcessSnapshot, takeSnapshot } from './process-snapshot.js'
import { visitTree } from './process-tree.js'
import { releaseTree } from './release-tree.js'
import type { ScopeRecord } from './scope-record.js'

// No event tells when a process ends that is no child of this one. So scan again after this time.
const longestPauseMs = 50

export interface MarksCensusParts {
  /** Whether this pid is the worker: a marked process may be its child. */
  readonly isWorker: (pid: number) => boolean
  /** Tells which process adopts the orphans of the worker. */
  readonly adopter: OrphanAdopter
  /** The scope of marked processes that no other scope owns or knows. */
  readonly fallback?: ScopeRecord
  /** Whether another census finds the descendants of this process. */
  readonly isSubreaper?: boolean
  /** Which pids to leave out, since another census finds them. */
  readonly isElsewhere?: (pid: number) => boolean
}

export class MarksCensus implements Census {
  readonly containment = platform.scanLevel
  readonly #parts: MarksCensusParts
  /** Released processes: they belong to no scope and are never ended. */
  readonly #released = new KnownProcesses()
  readonly #scopes = new Set<ScopeRecord>()
  /** The closed scopes that could not end all of their processes. */
  readonly #withSurvivors = new Set<ScopeRecord>()
  protected lastSnapshot: ProcessSnapshot | undefined
  /** How long the last scan took, in ms. */
  protected scanMs = 0

  /** Where one list has all processes, it is read without blocking the event loop. */
  readonly #reading = new SharedTask(async () => {
    const beganAt = performance.now()
    await platform.readAhead?.()
    this.#readingMs = performance.now() - beganAt
  })
  #readingMs = 0

  constructor(parts: MarksCensusParts) {
    this.#parts = parts
  }

  async prepareScan(): Promise<void> {
    if (platform.readAhead !== undefined) await this.#reading.run()
  }

  open(scope: ScopeRecord): void {
    this.#scopes.add(scope)
  }

  leaderStarted(scope: ScopeRecord, pid: number, command: string): void {
    this.#released.forgetPid(pid)
    scope.addLeader(pid, command)
    scope.inspectLeader(pid)
  }

  leaderEnded(scope: ScopeRecord, pid: number, usage: ProcessUsage | undefined): void {
    scope.groupLeaderEnded(pid)
    scope.removeLeader(pid, usage, isEmptyGroup)
    if (scope.state === 'open') scope.prune()
  }

  members(scope: ScopeRecord, _most?: number, command?: number): Member[] {
    return ofCommand(scope, this.#find(scope).members, command)
  }

  knownMembers(scope: ScopeRecord): Member[] {
    const found = new Map<number, Member>()
    scope.external.forgetEnded()
    for (const [root, startTick] of [...scope.seen]) {
      visitTree(root, (pid) => {
        const stat = found.has(pid) ? undefined : platform.statOf(pid)
        if (!stat?.alive || (pid === root && stat.startTick !== startTick)) return []
        if (this.#released.hasSeen(stat)) return []
        found.set(pid, { stat, isOwnChild: scope.leaders.has(pid) })
        scope.remember(stat)
        return platform.childrenOf(stat)
      })
    }
    return [...found.values()]
  }

  isEmpty(scope: ScopeRecord, command?: number): boolean {
    if (command === undefined && this.knowsLiving(scope)) return false
    const { members, isUnclear } = this.#find(scope)
    return !isUnclear && ofCommand(scope, members, command).length === 0
  }

  confirmIdentity(scope: ScopeRecord, { stat }: Member): boolean {
    const now = platform.statOf(stat.pid)
    if (now === undefined || now.startTick !== stat.startTick) return false
    const isOfScope =
      now.parent === stat.parent ||
      isKnown(scope, now) ||
      ownsMarkOf(scope, platform.environmentOf(now.pid, markName))
    if (isOfScope) this.#noteChildren(scope, now)
    return isOfScope
  }

  release(scope: ScopeRecord, pid: number): void {
    this.releaseExternal(scope, pid)
  }

  releaseExternal(scope: ScopeRecord, pid: number): void {
    this.#released.prune()
    releaseTree(scope, this.#released, pid)
    // A snapshot from this turn of the event loop does not contain the release.
    this.lastSnapshot = undefined
  }

  waitForChange(_scope: ScopeRecord, ms: number): Promise<void> {
    // Spend no more than half of the time on scans: this process has other work.
    return new Promise((resolve) =>
      setTimeout(resolve, Math.min(ms, Math.max(longestPauseMs, this.scanMs, this.#readingMs)))
    )
  }

  close(scope: ScopeRecord, hasSurvivors: boolean): void {
    this.#scopes.delete(scope)
    for (const closed of this.#withSurvivors) if (!hasLiving(closed)) this.#withSurvivors.delete(closed)
    if (hasSurvivors && scope !== this.#parts.fallback) this.#withSurvivors.add(scope)
  }

  /** Whether there is no scope to find processes for. */
  protected get isIdle(): boolean {
    return this.#scopes.size === 0
  }

  /** Whether the scope is known to have living processes without a scan of the whole machine. */
  protected knowsLiving(scope: ScopeRecord): boolean {
    // A process that a scan gave to the fallback may be another scope's by now.
    return scope !== this.#parts.fallback && hasLiving(scope)
  }

  /**
   * A child that was born after the scan is recognised only by its parent, which the signal may end: so note
   * it now. Once the signal is sent, no other child is born: the kernel fails the fork of a process with a
   * pending signal (signal_pending in copy_process).
   */
  #noteChildren(scope: ScopeRecord, parent: ProcessStat): void {
    for (const pid of platform.childrenOf(parent)) {
      const child = platform.statOf(pid)
      if (child?.alive && !this.#released.hasSeen(child)) scope.remember(child)
    }
  }

  /** The processes of the scope. `isUnclear`: a later scan may find more. */
  #find(scope: ScopeRecord): { members: Member[]; isUnclear: boolean } {
    const found = new Map<number, Member>()
    const snapshot = this.snapshot()
    const { tree, marks, released } = snapshot
    scope.external.forgetEnded()
    const add = (root: ProcessStat): void =>
      visitTree(root, (stat) => {
        if (found.has(stat.pid) || released.has(stat.pid) || this.#isLeftToOthers(stat, scope)) return []
        const isOwnChild = scope.leaders.has(stat.pid)
        if (!stat.alive && !isOwnChild) return []
        found.set(stat.pid, { stat, isOwnChild })
        scope.remember(stat)
        return tree.childrenOf(stat)
      })
    // In this order: known processes hold the numbers of groups, and descendants of what was found need no
    // check of their mark.
    for (const stat of tree.processes) if (scope.leaders.has(stat.pid) || scope.hasSeen(stat)) add(stat)
    for (const stat of tree.processes) if (scope.wasBornInGroup(stat)) add(stat)
    let isUnclear = false
    for (const stat of tree.processes) {
      if (found.has(stat.pid) || !stat.alive || !ownsMarkOf(scope, marks.get(stat.pid))) continue
      const origin = originOf(stat, tree, this.#parts.adopter, (at) => this.#classify(at, scope, snapshot))
      if (origin === 'ours') add(stat)
      else if (origin === 'unclear') isUnclear = true
    }
    if (scope.state === 'open') scope.prune()
    return { members: [...found.values()], isUnclear }
  }

  /** The fallback scope gets only processes that no other scope knows. */
  #isLeftToOthers(stat: ProcessStat, scope: ScopeRecord): boolean {
    return scope === this.#parts.fallback && this.#isKnownToOthers(stat, scope)
  }

  #isKnownToOthers(stat: ProcessStat, scope: ScopeRecord): boolean {
    for (const scopes of [this.#scopes, this.#withSurvivors]) {
      for (const other of scopes) if (other !== scope && isKnown(other, stat)) return true
    }
    return false
  }

  #classify(ancestor: ProcessStat, scope: ScopeRecord, { marks, released }: ProcessSnapshot): AncestorKind {
    const { isWorker, isSubreaper = false, isElsewhere } = this.#parts
    const { pid } = ancestor
    if (pid === process.pid) return isSubreaper ? 'foreign' : 'ours'
    if (isWorker(pid) || isKnown(scope, ancestor)) return 'ours'
    // Where descent tells the owner of a process, its mark does not count.
    if (isElsewhere?.(pid) || released.has(pid) || this.#isKnownToOthers(ancestor, scope)) return 'foreign'
    const mark = marks.get(pid) ?? platform.environmentOf(pid, markName)
    if (ownsMarkOf(scope, mark)) return 'marked'
    return workerMarkIn(mark ?? '') === workerMarkIn(scope.mark) ? 'foreign' : 'unmarked'
  }

  /** One snapshot serves all scopes for one turn of the event loop: so two scans in a row need two turns. */
  protected snapshot(): ProcessSnapshot {
    if (this.lastSnapshot !== undefined) return this.lastSnapshot
    const beganAt = performance.now()
    const steps = this.scanSteps(platform.allPids())
    let step = steps.next()
    while (!step.done) step = steps.next()
    this.scanMs = performance.now() - beganAt
    setImmediate(() => {
      this.lastSnapshot = undefined
    })
    this.lastSnapshot = step.value
    return step.value
  }

  protected scanSteps(pids: Iterable<number>): Generator<void, ProcessSnapshot> {
    return takeSnapshot(pids, this.#scopes, this.#released, this.#parts.isElsewhere)
  }
}

/** The members that come from one command; without a command, all members. */
function ofCommand(scope: ScopeRecord, members: Member[], command: number | undefined): Member[] {
  if (command === undefined) return members
  const numbers = scope.commands.numbersOf(members)
  return members.filter(({ stat }) => numbers.get(stat.pid) === command)
}

function ownsMarkOf(scope: ScopeRecord, mark: string | undefined): boolean {
  return mark !== undefined && scope.owns(mark)
}

function isKnown(scope: ScopeRecord, stat: ProcessStat): boolean {
  return scope.leaders.has(stat.pid) || scope.hasSeen(stat) || scope.wasBornInGroup(stat)
}

function hasLiving({ seen }: KnownProcesses): boolean {
  for (const [pid, startTick] of seen) {
    const stat = pidExists(pid) ? platform.statOf(pid) : undefined
    if (stat?.alive && stat.startTick === startTick) return true
  }
  return false
}
