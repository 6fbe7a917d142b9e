/**
 * The census without a subreaper: a look at every process of the machine. It finds the processes that are known, what was
 * born in a group or session of theirs, what carries the mark and has no ancestor of other origin, and all that
 * descends from these. A daemon that left its session and emptied its environment before any look saw it is not found.
 */

import { allPids, childrenOf, environmentOf, type ProcessStat, statOf } from '../platform/current.js'
import { markName, workerMarkIn } from '../wire/mark.js'
import { isEmptyGroup, KnownProcesses } from './known-processes.js'
import type { OrphanAdopter } from './orphan-adopter.js'
import { type AncestorKind, originOf } from './process-origin.js'
import { ProcessTree, visitTree } from './process-tree.js'
import { type Census, type Member, releaseTree, type ScopeRecord } from './scope-record.js'
import { pidExists } from './worker-liveness.js'

// With no event for the death of a stranger, there is nothing but to look again.
const longestPauseMs = 50

export interface MarksCensusParts {
  /** Whether it is the worker: what carries a mark of it may be its child. */
  readonly isWorker: (pid: number) => boolean
  /** Who takes in the orphans of the worker. */
  readonly adopter: OrphanAdopter
  /** Owns the marks that no other scope owns, and no process that is known to another one. */
  readonly fallback?: ScopeRecord
  /** Whether another census has the descendants of this process. */
  readonly isSubreaper?: boolean
  /** Which processes need not be looked at, since another census has them. */
  readonly isElsewhere?: (pid: number) => boolean
}

export interface ProcessSnapshot {
  readonly tree: ProcessTree
  readonly marks: ReadonlyMap<number, string>
  /** What was let go, and what descends from it. */
  readonly released: ReadonlySet<number>
}

export class MarksCensus implements Census {
  readonly containment = 'marks'
  readonly #parts: MarksCensusParts
  /** What was let go: nobody's, and never ended. */
  readonly #released = new KnownProcesses()
  readonly #scopes = new Set<ScopeRecord>()
  /** The closed ones that could not end all their processes. */
  readonly #survived = new Set<ScopeRecord>()
  protected lastSnapshot: ProcessSnapshot | undefined
  /** How long the last one took, in ms. */
  protected scanMs = 0

  constructor(parts: MarksCensusParts) {
    this.#parts = parts
  }

  open(scope: ScopeRecord): void {
    this.#scopes.add(scope)
  }

  leaderStarted(scope: ScopeRecord, pid: number, command: string): void {
    this.#released.forgetPid(pid)
    scope.addLeader(pid, command)
    scope.inspectLeader(pid)
  }

  leaderEnded(scope: ScopeRecord, pid: number): void {
    scope.groupLeaderEnded(pid)
    scope.removeLeader(pid, isEmptyGroup)
    if (scope.state === 'open') scope.prune()
  }

  members(scope: ScopeRecord, _most?: number, command?: number): Member[] {
    return ofCommand(scope, this.#find(scope).members, command)
  }

  isEmpty(scope: ScopeRecord, command?: number): boolean {
    if (command === undefined && this.knowsLiving(scope)) return false
    const { members, isUnclear } = this.#find(scope)
    return !isUnclear && ofCommand(scope, members, command).length === 0
  }

  confirmIdentity(scope: ScopeRecord, { stat }: Member): boolean {
    const now = statOf(stat.pid)
    if (now === undefined || now.startTick !== stat.startTick) return false
    const isOfScope =
      now.parent === stat.parent || isKnown(scope, now) || ownsMarkOf(scope, environmentOf(now.pid, markName))
    if (isOfScope) this.#noteChildren(scope, now)
    return isOfScope
  }

  release(scope: ScopeRecord, pid: number): void {
    this.releaseExternal(scope, pid)
  }

  releaseExternal(scope: ScopeRecord, pid: number): void {
    this.#released.prune()
    releaseTree(scope, this.#released, pid)
    // Whoever has looked in this turn has not seen that.
    this.lastSnapshot = undefined
  }

  waitForChange(_scope: ScopeRecord, ms: number): Promise<void> {
    // No more than half of the time is for looks: this process has other work.
    return new Promise((resolve) => setTimeout(resolve, Math.min(ms, Math.max(longestPauseMs, this.scanMs))))
  }

  close(scope: ScopeRecord, hasSurvivors: boolean): void {
    this.#scopes.delete(scope)
    for (const closed of this.#survived) if (!hasLiving(closed)) this.#survived.delete(closed)
    if (hasSurvivors && scope !== this.#parts.fallback) this.#survived.add(scope)
  }

  /** Whether there is no scope whose processes it is to find. */
  protected get isIdle(): boolean {
    return this.#scopes.size === 0
  }

  /** Whether it takes no look at all processes to tell that some of the scope are left. */
  protected knowsLiving(scope: ScopeRecord): boolean {
    // Of the rest, those that were seen may be another scope's by now.
    return scope !== this.#parts.fallback && hasLiving(scope)
  }

  /**
   * A child that was born since the look is known by its parent alone, and the signal may end that. Once the signal is sent
   * no other one is born: the kernel fails the fork of a process that has one to handle (signal_pending in copy_process).
   */
  #noteChildren(scope: ScopeRecord, parent: ProcessStat): void {
    for (const pid of childrenOf(parent)) {
      const child = statOf(pid)
      if (child?.alive && !this.#released.hasSeen(child)) scope.remember(child)
    }
  }

  /** What belongs to the scope. `isUnclear`: a later look may find more. */
  #find(scope: ScopeRecord): { members: Member[]; isUnclear: boolean } {
    const found = new Map<number, Member>()
    const look = this.snapshot()
    const { tree, marks, released } = look
    scope.external.forgetEnded()
    const add = (root: ProcessStat): void =>
      visitTree(root, (stat) => {
        if (found.has(stat.pid) || released.has(stat.pid) || this.#isKept(stat, scope)) return []
        const isOwnChild = scope.leaders.has(stat.pid)
        if (!stat.alive && !isOwnChild) return []
        found.set(stat.pid, { stat, isOwnChild })
        scope.remember(stat)
        return tree.childrenOf(stat)
      })
    // In this order: whoever is known holds the numbers of groups, and with an ancestor that is known no mark is asked for.
    for (const stat of tree.processes) if (scope.leaders.has(stat.pid) || scope.hasSeen(stat)) add(stat)
    for (const stat of tree.processes) if (scope.wasBornInGroup(stat)) add(stat)
    let isUnclear = false
    for (const stat of tree.processes) {
      if (found.has(stat.pid) || !stat.alive || !ownsMarkOf(scope, marks.get(stat.pid))) continue
      const origin = originOf(stat, tree, this.#parts.adopter, (at) => this.#verdictOn(at, scope, look))
      if (origin === 'ours') add(stat)
      else if (origin === 'unclear') isUnclear = true
    }
    if (scope.state === 'open') scope.prune()
    return { members: [...found.values()], isUnclear }
  }

  /** Whether another scope has the process: the rest is what nobody else has. */
  #isKept(stat: ProcessStat, scope: ScopeRecord): boolean {
    return scope === this.#parts.fallback && this.#isKnownToOthers(stat, scope)
  }

  #isKnownToOthers(stat: ProcessStat, scope: ScopeRecord): boolean {
    for (const scopes of [this.#scopes, this.#survived]) {
      for (const other of scopes) if (other !== scope && isKnown(other, stat)) return true
    }
    return false
  }

  #verdictOn(ancestor: ProcessStat, scope: ScopeRecord, { marks, released }: ProcessSnapshot): AncestorKind {
    const { isWorker, isSubreaper = false, isElsewhere: isOthers } = this.#parts
    const { pid } = ancestor
    if (pid === process.pid) return isSubreaper ? 'foreign' : 'ours'
    if (isWorker(pid) || isKnown(scope, ancestor)) return 'ours'
    // Where descent tells whose it is, its mark tells nothing.
    if (isOthers?.(pid) || released.has(pid) || this.#isKnownToOthers(ancestor, scope)) return 'foreign'
    const mark = marks.get(pid) ?? environmentOf(pid, markName)
    if (ownsMarkOf(scope, mark)) return 'marked'
    return workerMarkIn(mark ?? '') === workerMarkIn(scope.mark) ? 'foreign' : 'unmarked'
  }

  /** One look for all scopes, for one turn of the loop: two looks in a row are two turns. */
  protected snapshot(): ProcessSnapshot {
    if (this.lastSnapshot !== undefined) return this.lastSnapshot
    const beganAt = performance.now()
    const steps = this.steps(allPids())
    let step = steps.next()
    while (!step.done) step = steps.next()
    this.scanMs = performance.now() - beganAt
    setImmediate(() => {
      this.lastSnapshot = undefined
    })
    this.lastSnapshot = step.value
    return step.value
  }

  /** The steps of a look, none of which takes long. */
  protected *steps(pids: Iterable<number>): Generator<void, ProcessSnapshot> {
    const { isElsewhere: isOthers } = this.#parts
    const processes: ProcessStat[] = []
    for (const pid of pids) {
      if (pid === process.pid || isOthers?.(pid)) continue
      const stat = statOf(pid)
      if (stat !== undefined) processes.push(stat)
      yield
    }
    const marks = new Map<number, string>()
    // What is older than every scope has no mark of theirs: environments are the greater part of a look.
    let firstMarkedTick = Number.POSITIVE_INFINITY
    for (const scope of this.#scopes) firstMarkedTick = Math.min(firstMarkedTick, scope.firstMarkedTick)
    for (const stat of processes) {
      const mark = stat.startTick < firstMarkedTick ? undefined : environmentOf(stat.pid, markName)
      if (mark !== undefined) marks.set(stat.pid, mark)
      yield
    }
    const tree = new ProcessTree(processes)
    return { tree, marks, released: this.#releasedIn(tree) }
  }

  #releasedIn(tree: ProcessTree): Set<number> {
    const released = new Set<number>()
    const { seen, groups } = this.#released
    if (seen.size + groups.size === 0) return released
    const add = (root: ProcessStat): void =>
      visitTree(root, (stat) => {
        if (released.has(stat.pid)) return []
        released.add(stat.pid)
        this.#released.remember(stat)
        return tree.childrenOf(stat)
      })
    for (const stat of tree.processes) if (this.#released.hasSeen(stat)) add(stat)
    for (const stat of tree.processes) if (this.#released.wasBornInGroup(stat)) add(stat)
    return released
  }
}

/** Those of one command; all of them without its number. */
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
    const stat = pidExists(pid) ? statOf(pid) : undefined
    if (stat?.alive && stat.startTick === startTick) return true
  }
  return false
}
