/**
 * The census of a subreaper. Every descendant of the keeper stays below it: when its parent dies, a process
 * becomes the keeper's own child. So a scope is empty when no child of the keeper belongs to it, and
 * looking for its processes costs what its own tree costs.
 */

import {
  childrenOf,
  childrenOfMainThread,
  environmentOf,
  isOutOfDescriptors,
  type Libc,
  type ProcessStat,
  statOf
} from '../platform/current.js'
import { markName } from '../wire/mark.js'
import type { Census, Member } from './census.js'
import { KnownProcesses } from './known-processes.js'
import { visitTree } from './process-tree.js'
import { reapedByNode, reapedByWaitpid } from './reap-children.js'
import { releaseTree } from './release-tree.js'
import type { ReleasedMarks } from './released-marks.js'
import type { ScopeRecord } from './scope-record.js'

// How long after an end the keeper looks for what it has left, in ms.
const lookPauseMs = 25

export class SubreaperCensus implements Census {
  readonly containment = 'subreaper'
  readonly #libc: Libc
  readonly #scopes = new Set<ScopeRecord>()
  readonly #byMark = new Map<string, ScopeRecord>()
  /** The children that the keeper started. */
  readonly #leaders = new Set<number>()
  /**
   * Those that were not looked at yet: that is done before any is collected, and not at once, since the
   * kernel holds up who looks at a process that is becoming another program.
   */
  readonly #unseen = new Map<number, ScopeRecord>()
  /**
   * Every child that the kernel gave us, with its scope. Invariant: none is collected between a look and what
   * follows it.
   */
  readonly #adopted = new Map<number, ScopeRecord | 'unknown' | 'survivor' | 'released'>()
  /** The numbers that each of them may hold: its own, its group's and its session's. */
  readonly #numbers = new Map<number, readonly number[]>()
  /** The adopted children whose scope nothing tells, as they were when that was asked. */
  readonly #unknown = new Map<number, ProcessStat>()
  /**
   * The start times of those that ended before they could be asked for their mark. Each may have left another
   * one of any scope: none is over until they are collected, and there was a look after that.
   */
  readonly #passing = new Map<number, number>()
  /** Owns what no scope of the worker can have started. */
  readonly #strays: ScopeRecord
  readonly #onStrays: () => void
  /** What was let go: nobody's, and never ended. */
  readonly #released = new KnownProcesses()
  /** Those of closed scopes count. Of all that carries one nothing else is left. */
  readonly #releasedMarks: ReleasedMarks
  /** Whoever waits for a change of a scope. */
  readonly #waiting = new Map<ScopeRecord, Set<() => void>>()
  /** The scopes that somebody has left since the last round of waking. */
  readonly #changed = new Set<ScopeRecord>()
  #looking: NodeJS.Timeout | undefined
  /**
   * Whether there was a look in this turn, and none was collected since: what it has left came after that
   * look.
   */
  #isFresh = false
  /** Why the last look failed, for want of descriptors: then nothing may be concluded from it. */
  #blindness: unknown
  #isCollectDue = false
  /** While it runs, nobody is collected but by a look. */
  #resting: NodeJS.Timeout | undefined
  /** When it is over, in ms by `performance.now()`. */
  #restingUntil = 0
  readonly #onChildEnded = (): void => this.#collectSoon()

  /** `onStrays` is called when there are processes that no scope can have started. */
  constructor(libc: Libc, strays: ScopeRecord, releasedMarks: ReleasedMarks, onStrays: () => void) {
    this.#libc = libc
    this.#strays = strays
    this.#releasedMarks = releasedMarks
    this.#onStrays = onStrays
    // So that an adopted child is reaped when it ends, and not only when somebody looks.
    process.on('SIGCHLD', this.#onChildEnded)
  }

  open(scope: ScopeRecord): void {
    this.#scopes.add(scope)
    this.#byMark.set(scope.mark, scope)
  }

  /**
   * Whether it is a process that the keeper started and nobody has collected: its number is surely its own.
   */
  isLeader(pid: number): boolean {
    return this.#leaders.has(pid) && !this.#released.seen.has(pid)
  }

  leaderStarted(scope: ScopeRecord, pid: number, command: string): void {
    // The number is a new process's, so that nobody has it for a group or session any more.
    this.#released.forgetPid(pid)
    this.#strays.forgetPid(pid)
    for (const known of this.#scopes) known.forgetPid(pid)
    this.#leaders.add(pid)
    scope.addLeader(pid, command)
    // Node collects its own at any time.
    if (reapedByNode.has(pid)) scope.inspectLeader(pid)
    else this.#unseen.set(pid, scope)
  }

  leaderEnded(scope: ScopeRecord, pid: number): void {
    this.#leaders.delete(pid)
    scope.removeLeader(pid, (group) => !this.#libc.isGroup(group))
    this.#released.seen.delete(pid)
    this.#forgetIfEmpty(this.#released, pid)
    if (scope.state === 'open') this.#prune(scope)
    this.#isFresh = false
    this.#changed.add(scope)
    this.#collectSoon()
  }

  members(scope: ScopeRecord, most = Number.POSITIVE_INFINITY, command?: number): Member[] {
    const members = new Map<number, Member>()
    const add = (root: number): void =>
      visitTree(root, (pid) => {
        if (members.size >= most || members.has(pid)) return []
        const stat = statOf(pid)
        const isOwnChild = pid === root
        // A dead process that its own parent has not reaped is not alive, and none of ours to reap.
        if (stat === undefined || (!stat.alive && !isOwnChild)) return []
        if (this.#released.hasSeen(stat)) return []
        members.set(pid, { stat, isOwnChild })
        scope.remember(stat)
        return stat.alive ? childrenOf(stat) : []
      })
    this.#refresh()
    if (this.#blindness !== undefined) throw this.#blindness
    for (const pid of this.#rootsOf(scope)) if (isOf(scope, pid, command)) add(pid)
    return [...members.values()]
  }

  isEmpty(scope: ScopeRecord, command?: number): boolean {
    // Whoever of them has ended is collected in a moment: there is no need for a look.
    if (command === undefined && (scope.leaders.size > 0 || scope.orphans.size > 0)) return false
    this.#refresh()
    if (this.#blindness !== undefined || this.#mayBePassing(scope)) return false
    for (const pid of this.#rootsOf(scope)) if (isOf(scope, pid, command)) return false
    return true
  }

  confirmIdentity(_scope: ScopeRecord, { stat }: Member): boolean {
    const now = statOf(stat.pid)
    if (now === undefined || now.startTick !== stat.startTick) return false
    // The same parent, or ours since that parent died: a stranger with the number has neither.
    return now.parent === stat.parent || now.parent === process.pid
  }

  release(scope: ScopeRecord, pid: number): void {
    if (this.#unseen.delete(pid)) scope.inspectLeader(pid)
    this.releaseExternal(scope, pid)
  }

  releaseExternal(scope: ScopeRecord, pid: number): void {
    this.#prune(this.#released)
    for (const released of releaseTree(scope, this.#released, pid)) {
      if (!scope.orphans.delete(released)) continue
      this.#adopted.set(released, 'released')
      this.#changed.add(scope)
    }
  }

  waitForChange(scope: ScopeRecord, ms: number): Promise<void> {
    return new Promise((resolve) => {
      const waiting = this.#waiting.get(scope) ?? new Set()
      this.#waiting.set(scope, waiting)
      const wake = (): void => {
        clearTimeout(timer)
        waiting.delete(wake)
        resolve()
      }
      const timer = setTimeout(wake, ms)
      waiting.add(wake)
    })
  }

  delayReaping(ms: number): void {
    const until = performance.now() + ms
    // A timer counts whole ms.
    if (ms < 1 || until <= this.#restingUntil) return
    this.#restingUntil = until
    // Each would be woken for, and take the time in which another one dies.
    process.off('SIGCHLD', this.#onChildEnded)
    clearTimeout(this.#resting)
    this.#resting = setTimeout(() => {
      this.#resting = undefined
      process.on('SIGCHLD', this.#onChildEnded)
      this.#collectSoon()
    }, ms)
  }

  close(scope: ScopeRecord): void {
    for (const pid of this.#rootsOf(scope)) {
      if (!this.#adopted.has(pid)) continue
      this.#adopted.set(pid, 'survivor')
      this.#unknown.delete(pid)
    }
    this.#scopes.delete(scope)
    this.#byMark.delete(scope.mark)
    this.#waiting.delete(scope)
    this.#prune(this.#strays)
    // An orphan of unknown origin may have waited for just this.
    this.#changeOfUnknown()
    this.#collectSoon()
  }

  /** The keeper's own children that belong to the scope, dead or alive, until they are reaped. */
  *#rootsOf(scope: ScopeRecord): Generator<number> {
    yield* scope.leaders.keys()
    yield* scope.orphans
    if (this.#unknown.size === 0) return
    const { earliestOpen, oldestClosing } = this.#suspects()
    for (const [pid, { startTick }] of this.#unknown) {
      // It waits for the last scope to close of all that were open when it started.
      if (earliestOpen <= startTick) continue
      const owner = oldestClosing.firstStartTick <= startTick ? oldestClosing : this.#strays
      if (owner === scope) yield pid
    }
  }

  /** Whether somebody has ended of whom nobody can say that it was not of that scope. */
  #mayBePassing(scope: ScopeRecord): boolean {
    for (const startTick of this.#passing.values()) {
      if (scope === this.#strays || scope.firstStartTick <= startTick) return true
    }
    return false
  }

  /** Who may have started an orphan of unknown origin: any scope that is no younger. */
  #suspects(): { earliestOpen: number; oldestClosing: ScopeRecord } {
    let earliestOpen = Number.POSITIVE_INFINITY
    let oldestClosing = this.#strays
    for (const scope of this.#scopes) {
      if (scope.state === 'open') earliestOpen = Math.min(earliestOpen, scope.firstStartTick)
      else if (scope.firstStartTick < oldestClosing.firstStartTick) oldestClosing = scope
    }
    return { earliestOpen, oldestClosing }
  }

  /** One round for all that ends in one turn of the loop. Who ends first is told first: a look can wait. */
  #collectSoon(): void {
    if (this.#isCollectDue || this.#resting !== undefined) return
    this.#isCollectDue = true
    setImmediate(() => {
      this.#isCollectDue = false
      // To ask for each by its number can wait for a look.
      if (reapedByNode.size === 0) this.#collectEnded()
      this.#wakeChanged()
      this.#lookSoon()
    })
  }

  /**
   * What has ended may have left something. While a thousand end, to look for that takes the time that they
   * need.
   */
  #lookSoon(): void {
    this.#looking ??= setTimeout(() => {
      this.#looking = undefined
      this.#isFresh = false
      this.#refresh()
      this.#wakeChanged()
      if (!this.isEmpty(this.#strays)) this.#onStrays()
    }, lookPauseMs)
  }

  #wakeChanged(): void {
    const changed = [...this.#changed]
    this.#changed.clear()
    for (const scope of changed) for (const wake of [...(this.#waiting.get(scope) ?? [])]) wake()
  }

  /** It may have been any scope's. */
  #changeOfUnknown(): void {
    for (const scope of this.#waiting.keys()) this.#changed.add(scope)
  }

  /** Reaps adopted children that have ended and finds out whose the new ones are; once for each turn. */
  #refresh(): void {
    if (this.#isFresh) return
    setImmediate(() => {
      this.#isFresh = false
    })
    try {
      this.#look()
      this.#blindness = undefined
    } catch (error) {
      if (!isOutOfDescriptors(error)) throw error
      this.#blindness = error
    }
    this.#isFresh = true
  }

  /**
   * Gives each child that is new to its owner. Nobody collects the keeper's children while it reads their
   * list, and an orphan comes to the end of that before its parent has ended. So a process and those that
   * come after it are never all missed as long as the ended ones count, too, until they are collected.
   */
  #look(): void {
    // Before the look, so that it finds few that are dead.
    this.#collectEnded()
    // Before there are new ones, who are asked as they come.
    for (const [pid, { image }] of this.#unknown) this.#askAgain(pid, image)
    for (const pid of childrenOfMainThread(process.pid)) {
      if (!reapedByNode.has(pid) && !this.#leaders.has(pid) && !this.#adopted.has(pid)) this.#adopt(pid)
    }
  }

  /** By a leader that is collected unseen nothing would be known of what it has left. */
  #collectEnded(): void {
    for (const [pid, scope] of this.#unseen) scope.inspectLeader(pid)
    this.#unseen.clear()
    if (reapedByNode.size === 0) {
      // Whoever has ended: that costs nothing for those who live. But it would take from Node what is Node's
      // to collect.
      while (this.#collect(-1));
    } else {
      for (const pid of childrenOfMainThread(process.pid)) if (!reapedByNode.has(pid)) this.#collect(pid)
    }
  }

  #collect(pid: number): boolean {
    const collected = this.#libc.collect(pid)
    if (collected === undefined) return false
    const awaiting = reapedByWaitpid.get(collected.pid)
    reapedByWaitpid.delete(collected.pid)
    if (awaiting === undefined) this.#drop(collected.pid)
    else awaiting.exited(collected.code, collected.signal)
    return true
  }

  #adopt(pid: number): void {
    const stat = statOf(pid)
    if (stat !== undefined) this.#give(stat)
  }

  /**
   * In the moment of its exec a process has no environment for others to read: it is asked for its mark once
   * more.
   */
  #askAgain(pid: number, image: string): void {
    const stat = statOf(pid)
    if (stat?.alive && stat.image !== image) this.#give(stat)
  }

  #give(stat: ProcessStat): void {
    const { pid, startTick } = stat
    const owner = this.#ownerOf(stat)
    const isPassing = owner === 'unknown' && (statOf(pid)?.ending ?? true)
    // For want of descriptors it can fail until here: then another look asks.
    this.#adopted.set(pid, owner)
    this.#numbers.set(pid, [pid, stat.group, stat.session])
    this.#unknown.delete(pid)
    if (isPassing) this.#passing.set(pid, startTick)
    else if (owner === 'unknown') this.#unknown.set(pid, stat)
    else if (owner !== 'released') owner.orphans.add(pid)
  }

  #drop(pid: number): void {
    const owner = this.#adopted.get(pid)
    const numbers = this.#numbers.get(pid) ?? []
    this.#adopted.delete(pid)
    this.#numbers.delete(pid)
    this.#unknown.delete(pid)
    this.#passing.delete(pid)
    this.#isFresh = false
    if (typeof owner === 'object') {
      owner.orphans.delete(pid)
      this.#changed.add(owner)
      // One that closes does not live long enough for a number to be given out again.
      if (owner.state === 'open') for (const number of numbers) this.#forgetIfEmpty(owner, number)
    } else if (owner === 'unknown') {
      this.#changeOfUnknown()
    } else if (owner === 'released') {
      this.#released.seen.delete(pid)
      for (const number of numbers) this.#forgetIfEmpty(this.#released, number)
    }
  }

  #prune(known: KnownProcesses): void {
    known.prune((group) => !this.#libc.isGroup(group))
  }

  /** The number of a group without a process may be given out again. */
  #forgetIfEmpty({ groups }: KnownProcesses, number: number): void {
    if (groups.has(number) && !this.#libc.isGroup(number)) groups.delete(number)
  }

  #ownerOf(stat: ProcessStat): ScopeRecord | 'unknown' | 'released' {
    if (this.#released.hasSeen(stat) || this.#released.ownsGroupOf(stat)) return 'released'
    for (const scope of this.#scopes) if (scope.hasSeen(stat)) return scope
    const mark = stat.ending ? undefined : environmentOf(stat.pid, markName)
    const marked = mark === undefined ? undefined : this.#byMark.get(mark)
    if (marked !== undefined) return marked
    if (mark !== undefined && this.#releasedMarks.has(mark)) return 'released'
    for (const scope of this.#scopes) if (scope.ownsGroupOf(stat)) return scope
    return 'unknown'
  }
}

/**
 * Whether a root of the scope comes from that command; without one, from any. What nothing tells of is the
 * whole scope's affair.
 */
function isOf(scope: ScopeRecord, pid: number, command: number | undefined): boolean {
  return command === undefined || scope.commands.numberOfPid(pid) === command
}
