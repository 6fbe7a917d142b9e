/** Who belongs to a scope: what is known of each scope, and what a census of its processes answers. */

import type { FirstSignalTo } from '../options.js'
import { childrenOf, isOutOfDescriptors, type Libc, type ProcessStat, statOf } from '../platform/current.js'
import type { Containment, ScopeFolder } from '../wire/messages.js'
import { CommandRegistry } from './command-registry.js'
import { ExternalProcesses } from './external-processes.js'
import { KnownProcesses } from './known-processes.js'
import { visitTree } from './process-tree.js'

/** One process of a scope, as it was at the last look. */
export interface Member {
  readonly stat: ProcessStat
  /**
   * Whether it is a child of the keeper that has not been reaped. Its number, and the number of its group,
   * cannot be reused until the keeper's event loop turns.
   */
  readonly isOwnChild: boolean
}

/** Looks for processes that are to end together, until there are none. A look that fails for want of descriptors throws. */
export interface Scanner {
  /** Every process of the scope, its own unreaped zombies included; about so many of them where that can be told early. */
  members(scope: ScopeRecord, most?: number): Member[]
  /** Whether a look finds no process of the scope. */
  isEmpty(scope: ScopeRecord): boolean
  /**
   * Whether this is still the process that was looked at: its number may have been reused since. To be asked right before each
   * signal: where an orphan cannot be found by its origin, the children of the process are noted.
   */
  confirmIdentity(scope: ScopeRecord, member: Member): boolean
  /** Prepares a look where that takes long: the answers that follow are by it. Left out where each answer is by a look of its own. */
  prepareScan?(): Promise<void>
  /** Resolves when something may have changed for the scope, after `ms` at the latest. */
  waitForChange(scope: ScopeRecord, ms: number): Promise<void>
  /** Many are about to end: they are to be collected together, after `ms`. Left out where nobody is collected here. */
  delayReaping?(ms: number): void
}

/** Finds the processes of each scope of a keeper. How, is the containment level. */
export interface Census extends Scanner {
  readonly containment: Containment
  /** With the number of a command: of that one alone. */
  members(scope: ScopeRecord, most?: number, command?: number): Member[]
  isEmpty(scope: ScopeRecord, command?: number): boolean
  /** A scope whose processes it is to find from now on. */
  open(scope: ScopeRecord): void
  /** A command was started for the scope. */
  leaderStarted(scope: ScopeRecord, pid: number, command: string): void
  /** That process has ended and is reaped; what it started may live on. */
  leaderEnded(scope: ScopeRecord, pid: number): void
  /** A command that was the scope's is nobody's any more, nor is what descends from it, nor what carries its mark later. */
  release(scope: ScopeRecord, pid: number): void
  /** The same for a process that the keeper did not start. Its mark is not the scope's own, and tells nothing. */
  releaseExternal(scope: ScopeRecord, pid: number): void
  /** The scope is closed; what it still has are survivors. */
  close(scope: ScopeRecord, hasSurvivors: boolean): void
}

/** How the processes of a scope are ended. */
export interface ScopeEnding {
  /** Between the first signal and SIGKILL. */
  readonly graceMs: number
  readonly killSignal: NodeJS.Signals
  /** Default `'tree'`. */
  readonly firstSignalTo?: FirstSignalTo | undefined
}

/** What the keeper knows of a scope. */
export class ScopeRecord extends KnownProcesses {
  readonly number: number
  /** The value of the mark. Never empty: an empty mark would match what carries none. */
  readonly mark: string
  graceMs: number
  killSignal: NodeJS.Signals
  readonly firstSignalTo: FirstSignalTo
  readonly commands: CommandRegistry
  /** The processes that have got their first signal, by pid and start time: a second one may mean something else. */
  readonly firstSignalled = new Set<string>()
  /** The running processes that the keeper started: their commands by pid. */
  readonly leaders = new Map<number, string>()
  /** The groups that were made for leaders of no group, by the leader's number. */
  readonly #madeGroups = new Map<number, number>()
  /** Processes of the scope that became the keeper's children when their parents died. */
  readonly orphans = new Set<number>()
  /** Folders to remove when every process is gone. */
  readonly folders: ScopeFolder[] = []
  /** Whether something was let go that may use the TMPDIR of the scope. */
  hasReleased = false
  /** Why its processes could not be looked at when it was ended, where that is so. */
  scanFailure: string | undefined
  /** No process that the keeper started for the scope, nor what these started, is older, in clock ticks since boot. */
  firstStartTick = Number.POSITIVE_INFINITY
  /** Those that the keeper did not start: their orphans do not come to it. */
  readonly external: ExternalProcesses
  state: 'open' | 'closing' | 'closed' = 'open'

  constructor(
    number: number,
    mark: string,
    { graceMs, killSignal, firstSignalTo = 'tree' }: ScopeEnding,
    libc: Libc | undefined
  ) {
    super()
    if (mark === '') throw new RangeError('a mark must not be empty')
    this.number = number
    this.mark = mark
    this.graceMs = graceMs
    this.killSignal = killSignal
    this.firstSignalTo = firstSignalTo
    this.commands = new CommandRegistry(mark)
    this.external = new ExternalProcesses(this, libc)
  }

  /** Whether what carries that mark belongs here. */
  owns(mark: string): boolean {
    return mark === this.mark
  }

  /**
   * Takes a started command in. It leads its own session and group, or is alone in a group that was made for it. Before it is
   * collected it has to be seen.
   */
  addLeader(pid: number, command: string): void {
    this.leaders.set(pid, command)
  }

  /** Notes when a leader started, so that what it leaves is known. */
  inspectLeader(pid: number): void {
    try {
      const stat = statOf(pid)
      if (stat === undefined) return
      this.firstStartTick = Math.min(this.firstStartTick, stat.startTick)
      this.remember(stat)
      // It may begin its session only after this.
      this.addGroup(pid, { startTick: stat.startTick, session: pid })
      if (stat.group === pid) return
      this.addGroup(stat.group, stat)
      this.#madeGroups.set(pid, stat.group)
    } catch (error) {
      if (!isOutOfDescriptors(error)) throw error
      // A scope that is as old as can be may have started anything.
      this.firstStartTick = 0
    }
  }

  /** A leader was collected. `isEmpty` tells whether nobody is in a group. */
  removeLeader(pid: number, isEmpty: (group: number) => boolean): void {
    this.leaders.delete(pid)
    // While the group has members its number cannot be reused; once it is empty it may be anybody's. A scope
    // that closes does not live long enough for that, and may have a thousand of them.
    const isOpen = this.state === 'open'
    const groups = this.groupsOf(pid)
    const left = isOpen ? groups.filter((group) => !isEmpty(group)) : []
    this.commands.leaderEnded(pid, this.ownGroupsAmong(left))
    if (!isOpen) return
    for (const group of groups) if (!left.includes(group)) this.groups.delete(group)
    this.#madeGroups.delete(pid)
  }

  /** Nothing that carries the mark is older. */
  get firstMarkedTick(): number {
    return Math.min(this.firstStartTick, this.external.firstTick)
  }

  /** Lets a process go. Returns whether it belonged here. */
  release(pid: number): boolean {
    for (const group of this.groupsOf(pid)) this.groups.delete(group)
    this.external.release(pid)
    this.commands.leaderEnded(pid, new Map())
    const wasLeader = this.leaders.delete(pid)
    return this.seen.delete(pid) || wasLeader
  }

  /** The group and session that it may lead, and the group that was made for it. */
  groupsOf(pid: number): number[] {
    const made = this.#madeGroups.get(pid)
    return made === undefined ? [pid] : [pid, made]
  }
}

/**
 * Moves a process of a scope, with its tree as it is now, to those that were let go: a daemon that it starts later is known
 * by its session, or not at all. Returns their numbers.
 */
export function releaseTree(scope: ScopeRecord, released: KnownProcesses, root: number): number[] {
  const letGo: number[] = []
  const stat = statOf(root)
  visitTree(root, (pid) => {
    const now = pid === root ? stat : statOf(pid)
    if (now === undefined || released.hasSeen(now)) return []
    released.remember(now)
    scope.release(pid)
    letGo.push(pid)
    return childrenOf(now)
  })
  // It may begin its session only after this.
  if (stat !== undefined) {
    for (const group of scope.groupsOf(root)) {
      released.addGroup(group, { startTick: stat.startTick, session: group === root ? root : stat.session })
    }
  }
  return letGo
}
