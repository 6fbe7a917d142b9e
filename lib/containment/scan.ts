/**
 * The census without a subreaper: a look at every process of the machine. It finds what carries the mark,
 * what is in a group or session of the scope, and all that descends from these. A daemon that left its
 * session and emptied its environment before any look saw it is not found.
 */

import { markName } from '../mark.js'
import { allProcesses, environmentOf, type ProcessStat, statOf } from '../platform/linux.js'
import { isEmptyGroup, KnownProcesses } from './known.js'
import { type Census, letGoTree, type Member, type ScopeRecord } from './members.js'
import { ProcessTree } from './process-tree.js'

// With no event for the death of a stranger, there is nothing but to look again.
const longestPauseMs = 50

interface Look {
  readonly tree: ProcessTree
  readonly marks: ReadonlyMap<number, string>
}

export class ScanCensus implements Census {
  readonly containment = 'marks'
  /** What was let go: nobody's, and never ended. */
  readonly #released = new KnownProcesses()
  readonly #scopes = new Set<ScopeRecord>()
  readonly #isOthers: (pid: number) => boolean
  #lastLook: Look | undefined

  /** `isOthers` tells which processes need not be looked at, since another census has them. */
  constructor(isOthers: (pid: number) => boolean = () => false) {
    this.#isOthers = isOthers
  }

  open(scope: ScopeRecord): void {
    this.#scopes.add(scope)
  }

  launched(scope: ScopeRecord, pid: number, command: string): void {
    scope.addLeader(pid, command)
    scope.seeLeader(pid)
  }

  leaderEnded(scope: ScopeRecord, pid: number): void {
    scope.removeLeader(pid, () => isEmptyGroup(pid))
  }

  members(scope: ScopeRecord): Member[] {
    const look = this.#look()
    if (look === undefined) return []
    scope.foreign.look()
    const found = new Map<number, Member>()
    const add = (stat: ProcessStat): void => {
      if (found.has(stat.pid) || this.#isReleased(stat, look.tree)) return
      const isOwnChild = scope.leaders.has(stat.pid)
      if (!stat.alive && !isOwnChild) return
      found.set(stat.pid, { stat, isOwnChild })
      scope.remember(stat)
      for (const child of look.tree.childrenOf(stat)) add(child)
    }
    for (const stat of look.tree.processes) {
      if (ownsMarkOf(scope, look.marks.get(stat.pid)) || isKnown(scope, stat)) add(stat)
    }
    return [...found.values()]
  }

  isEmpty(scope: ScopeRecord): boolean {
    return this.#look() !== undefined && this.members(scope).length === 0
  }

  isStill(scope: ScopeRecord, { stat }: Member): boolean {
    const now = statOf(stat.pid)
    if (now === undefined || now.startTick !== stat.startTick) return false
    if (now.parent === stat.parent) return true
    return isKnown(scope, now) || ownsMarkOf(scope, environmentOf(now.pid, markName))
  }

  release(scope: ScopeRecord, pid: number): void {
    this.letGo(scope, pid)
  }

  letGo(scope: ScopeRecord, pid: number): void {
    letGoTree(scope, this.#released, pid)
  }

  changeWithin(_scope: ScopeRecord, ms: number): Promise<void> {
    return new Promise((resolve) => setTimeout(resolve, Math.min(ms, longestPauseMs)))
  }

  forget(scope: ScopeRecord): void {
    this.#scopes.delete(scope)
  }

  /** Whether it, or what it descends from, was let go. */
  #isReleased(stat: ProcessStat, tree: ProcessTree): boolean {
    if (this.#released.seen.size === 0) return false
    for (const at of tree.lineOf(stat)) {
      if (this.#released.hasSeen(at) || this.#released.holdsGroupOf(at)) return true
    }
    return false
  }

  /** One look for all scopes, for one turn of the loop: two looks in a row are two turns. */
  #look(): Look | undefined {
    try {
      return this.#lookOnce()
    } catch {
      // For want of descriptors: nothing may be concluded from that.
      return undefined
    }
  }

  #lookOnce(): Look {
    if (this.#lastLook !== undefined) return this.#lastLook
    const processes = allProcesses((pid) => pid === process.pid || this.#isOthers(pid))
    const marks = new Map<number, string>()
    // What is older than every scope has no mark of theirs: environments are the greater part of a look.
    const firstMarkedTick = Math.min(...[...this.#scopes].map((scope) => scope.firstMarkedTick))
    for (const stat of processes) {
      const mark = stat.startTick < firstMarkedTick ? undefined : environmentOf(stat.pid, markName)
      if (mark !== undefined) marks.set(stat.pid, mark)
    }
    this.#lastLook = { tree: new ProcessTree(processes), marks }
    setImmediate(() => {
      this.#lastLook = undefined
    })
    return this.#lastLook
  }
}

function ownsMarkOf(scope: ScopeRecord, mark: string | undefined): boolean {
  return mark !== undefined && scope.owns(mark)
}

function isKnown(scope: ScopeRecord, stat: ProcessStat): boolean {
  return scope.leaders.has(stat.pid) || scope.hasSeen(stat) || scope.holdsGroupOf(stat)
}
