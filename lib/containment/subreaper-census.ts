/**
 * The census of a subreaper. Every descendant of the keeper stays below it: when its parent dies, a process
 * becomes the keeper's own child. So a scope is empty when no child of the keeper belongs to it, and a scan
 * costs only as much as the scope's own tree.
 */

import { isOutOfDescriptors, type NativeCalls, type ProcessUsage, platform } from '../platform/current.js'
import { OrphanAssignment, type OrphanAssignmentParts } from './assign-orphans.js'
import type { Census, Member } from './census.js'
import { KnownProcesses } from './known-processes.js'
import { visitTree } from './process-tree.js'
import { ChildReaper, reapedByNode } from './reap-children.js'
import { releaseTree } from './release-tree.js'
import { ScopeChanges } from './scope-changes.js'
import type { ScopeRecord } from './scope-record.js'

// How long after the end of a process to scan for what it left behind, in ms.
const scanDelayMs = 25

export interface SubreaperCensusParts extends Pick<OrphanAssignmentParts, 'releasedMarks' | 'scopeOf'> {
  readonly native: NativeCalls
  /** The scope for orphans that no scope of the worker can have started. */
  readonly strays: ScopeRecord
  /** Called when there are such processes. */
  readonly onStrays: () => void
}

export class SubreaperCensus implements Census {
  readonly containment = 'subreaper'
  readonly #reaper: ChildReaper
  readonly #orphans: OrphanAssignment
  readonly #changes = new ScopeChanges()
  /** The children that the keeper started. */
  readonly #leaders = new Set<number>()
  /** The scope for orphans that no scope of the worker can have started. */
  readonly #strays: ScopeRecord
  readonly #onStrays: () => void
  /** Released processes: they belong to no scope and are never ended. */
  readonly #released = new KnownProcesses()
  readonly #isEmptyGroup: (group: number) => boolean
  #scanTimer: NodeJS.Timeout | undefined
  /**
   * Whether there was a scan in this turn and no child was reaped since: what a reaped child left behind may
   * have come after the scan.
   */
  #isFresh = false
  /** Why the last scan failed, for lack of file descriptors. Nothing can be concluded from a failed scan. */
  #failure: unknown

  constructor({ native, strays, releasedMarks, onStrays, scopeOf }: SubreaperCensusParts) {
    this.#strays = strays
    this.#onStrays = onStrays
    this.#isEmptyGroup = (group) => !native.groupExists(group)
    this.#orphans = new OrphanAssignment({
      strays,
      released: this.#released,
      releasedMarks,
      changes: this.#changes,
      isEmptyGroup: this.#isEmptyGroup,
      scopeOf
    })
    this.#reaper = new ChildReaper(native, {
      orphanReaped: (pid, usage) => {
        this.#isFresh = false
        this.#orphans.reaped(pid, usage)
      },
      roundDone: () => {
        // The end of a process is reported at once. The scan can wait.
        this.#changes.wakeChanged()
        this.#scanSoon()
      }
    })
  }

  open(scope: ScopeRecord): void {
    this.#orphans.open(scope)
  }

  /** Whether the keeper started this process and has not reaped it: its pid cannot have been reused. */
  isLeader(pid: number): boolean {
    return this.#leaders.has(pid) && !this.#released.seen.has(pid)
  }

  leaderStarted(scope: ScopeRecord, pid: number, command: string): void {
    // A new process has this pid, so no group or session has that number any more.
    this.#orphans.forgetPid(pid)
    this.#leaders.add(pid)
    scope.addLeader(pid, command)
    // Node may reap its children at any time.
    if (reapedByNode.has(pid)) scope.inspectLeader(pid)
    else this.#reaper.inspectLater(scope, pid)
  }

  leaderEnded(scope: ScopeRecord, pid: number, usage: ProcessUsage | undefined): void {
    this.#leaders.delete(pid)
    scope.removeLeader(pid, usage, this.#isEmptyGroup)
    this.#released.seen.delete(pid)
    this.#released.forgetGroupIfEmpty(pid, this.#isEmptyGroup)
    if (scope.state === 'open') scope.prune(this.#isEmptyGroup)
    this.#isFresh = false
    this.#changes.note(scope)
    this.#reaper.reapSoon()
  }

  members(scope: ScopeRecord, most = Number.POSITIVE_INFINITY, command?: number): Member[] {
    const members = new Map<number, Member>()
    const add = (root: number): void =>
      visitTree(root, (pid) => {
        if (members.size >= most || members.has(pid)) return []
        const stat = platform.statOf(pid)
        const isOwnChild = pid === root
        // A zombie of another parent is not alive, and not for the keeper to reap.
        if (stat === undefined || (!stat.alive && !isOwnChild)) return []
        if (this.#released.hasSeen(stat)) return []
        members.set(pid, { stat, isOwnChild })
        scope.remember(stat)
        return stat.alive ? platform.childrenOf(stat) : []
      })
    this.#refresh()
    if (this.#failure !== undefined) throw this.#failure
    for (const pid of this.#orphans.keeperChildrenOf(scope)) if (isOf(scope, pid, command)) add(pid)
    return [...members.values()]
  }

  isEmpty(scope: ScopeRecord, command?: number): boolean {
    // If any of these has ended, it is reaped in a moment: no need for a scan.
    if (command === undefined && (scope.leaders.size > 0 || scope.orphans.size > 0)) return false
    this.#refresh()
    if (this.#failure !== undefined || this.#orphans.mayHaveMore(scope)) return false
    for (const pid of this.#orphans.keeperChildrenOf(scope)) if (isOf(scope, pid, command)) return false
    return true
  }

  confirmIdentity(_scope: ScopeRecord, { stat }: Member): boolean {
    const now = platform.statOf(stat.pid)
    if (now === undefined || now.startTick !== stat.startTick) return false
    // The same parent, or the keeper if that died: an unrelated process with this pid has neither.
    return now.parent === stat.parent || now.parent === process.pid
  }

  release(scope: ScopeRecord, pid: number): void {
    this.#reaper.inspectNow(scope, pid)
    this.releaseExternal(scope, pid)
  }

  releaseExternal(scope: ScopeRecord, pid: number): void {
    this.#released.prune(this.#isEmptyGroup)
    for (const released of releaseTree(scope, this.#released, pid)) {
      if (this.#orphans.release(scope, released)) this.#changes.note(scope)
    }
  }

  waitForChange(scope: ScopeRecord, ms: number): Promise<void> {
    return this.#changes.wait(scope, ms)
  }

  delayReaping(ms: number): void {
    this.#reaper.delay(ms)
  }

  close(scope: ScopeRecord): void {
    this.#orphans.close(scope)
    this.#changes.forget(scope)
    this.#strays.prune(this.#isEmptyGroup)
    // Other scopes may have waited for this one: an orphan of unknown origin may be theirs now.
    this.#changes.noteAll()
    this.#reaper.reapSoon()
  }

  /**
   * Scans for what the ended processes left behind. Not at once: while a thousand processes end, scans would
   * take the processor time that these need.
   */
  #scanSoon(): void {
    this.#scanTimer ??= setTimeout(() => {
      this.#scanTimer = undefined
      this.#isFresh = false
      this.#refresh()
      this.#changes.wakeChanged()
      if (!this.isEmpty(this.#strays)) this.#onStrays()
    }, scanDelayMs)
  }

  /** Scans once in each turn of the event loop. */
  #refresh(): void {
    if (this.#isFresh) return
    setImmediate(() => {
      this.#isFresh = false
    })
    try {
      this.#scan()
      this.#failure = undefined
    } catch (error) {
      if (!isOutOfDescriptors(error)) throw error
      this.#failure = error
    }
    this.#isFresh = true
  }

  /**
   * Reaps ended children, and assigns each new orphan to its scope. No child is reaped while the list of
   * children is read, and an orphan is added to the end of that list before its parent has ended. So a scan
   * never misses a process and all of its descendants, as long as ended children count, too, until they are
   * reaped.
   */
  #scan(): void {
    // Before the rest of the scan, so that this finds few zombies.
    this.#reaper.reapEnded()
    // Before new orphans are assigned, whose mark is read right then.
    this.#orphans.retryUnknown()
    for (const pid of platform.childrenOfMainThread(process.pid)) {
      if (!reapedByNode.has(pid) && !this.#leaders.has(pid) && !this.#orphans.has(pid))
        this.#orphans.assign(pid)
    }
  }
}

/**
 * Whether a child of the keeper comes from that command; without a command, always true. A child for which
 * nothing tells the command is ended only with the whole scope.
 */
function isOf(scope: ScopeRecord, pid: number, command: number | undefined): boolean {
  return command === undefined || scope.commands.numberOfPid(pid) === command
}
