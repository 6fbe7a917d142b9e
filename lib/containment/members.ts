/** Who belongs to a scope: what is known of each scope, and what a census of its processes answers. */

import type { Containment } from '../keeper/protocol.js'
import type { Libc } from '../platform/libc.js'
import { childrenOf, type ProcessStat, statOf } from '../platform/linux.js'
import { Foreign } from './foreign.js'
import { KnownProcesses } from './known.js'

/** One process of a scope, as it was at the last look. */
export interface Member {
  readonly stat: ProcessStat
  /**
   * Whether it is a child of the keeper that has not been reaped. Its number, and the number of its group,
   * cannot be reused until the keeper's event loop turns.
   */
  readonly isOwnChild: boolean
}

/** Looks for processes that are to end together, until there are none. */
export interface Search {
  /** Every process of the scope, its own unreaped zombies included; about so many of them where that can be told early. */
  members(scope: ScopeRecord, most?: number): Member[]
  /** Whether a look finds no process of the scope. */
  isEmpty(scope: ScopeRecord): boolean
  /** Whether this is still the process that was looked at: its number may have been reused since. */
  isStill(scope: ScopeRecord, member: Member): boolean
  /** Resolves when something may have changed for the scope, after `ms` at the latest. */
  changeWithin(scope: ScopeRecord, ms: number): Promise<void>
}

/** Finds the processes of each scope of a keeper. How, is the containment level. */
export interface Census extends Search {
  readonly containment: Containment
  /** A scope whose processes it is to find from now on. */
  open(scope: ScopeRecord): void
  /** A command was started for the scope. */
  launched(scope: ScopeRecord, pid: number, command: string): void
  /** That process has ended and is reaped; what it started may live on. */
  leaderEnded(scope: ScopeRecord, pid: number): void
  /** A command that was the scope's is nobody's any more, nor is what descends from it, nor what carries its mark later. */
  release(scope: ScopeRecord, pid: number): void
  /** The same for a process that the keeper did not start. Its mark is not the scope's own, and tells nothing. */
  letGo(scope: ScopeRecord, pid: number): void
  /** The scope is closed; what it still has are survivors. */
  forget(scope: ScopeRecord): void
}

/** What the keeper knows of a scope. */
export class ScopeRecord extends KnownProcesses {
  readonly number: number
  /** The value of the mark. Never empty: an empty mark would match what carries none. */
  readonly mark: string
  graceMs: number
  killSignal: NodeJS.Signals
  /** The running processes that the keeper started: their commands by pid. */
  readonly leaders = new Map<number, string>()
  /** Processes of the scope that became the keeper's children when their parents died. */
  readonly orphans = new Set<number>()
  /** Folders to remove when every process is gone. */
  readonly folders: string[] = []
  /** No process that the keeper started for the scope, nor what these started, is older, in clock ticks since boot. */
  firstStartTick = Number.POSITIVE_INFINITY
  /** Those that the keeper did not start: their orphans do not come to it. */
  readonly foreign: Foreign
  state: 'open' | 'closing' | 'closed' = 'open'

  constructor(
    number: number,
    mark: string,
    { graceMs, killSignal }: { readonly graceMs: number; readonly killSignal: NodeJS.Signals },
    libc: Libc | undefined
  ) {
    super()
    if (mark === '') throw new RangeError('a mark must not be empty')
    this.number = number
    this.mark = mark
    this.graceMs = graceMs
    this.killSignal = killSignal
    this.foreign = new Foreign(this, libc)
  }

  /** Whether what carries that mark belongs here. */
  owns(mark: string): boolean {
    return mark === this.mark
  }

  /** Takes a started command in. It leads its own session and group. Before it is collected it has to be seen. */
  addLeader(pid: number, command: string): void {
    this.leaders.set(pid, command)
  }

  /** Notes when a leader started, so that what it leaves is known. */
  seeLeader(pid: number): void {
    try {
      const stat = statOf(pid)
      if (stat === undefined) return
      this.firstStartTick = Math.min(this.firstStartTick, stat.startTick)
      this.remember(stat)
    } catch {
      // For want of descriptors. A scope that is as old as can be may have started anything.
      this.firstStartTick = 0
    }
  }

  /** A leader was collected. `isEmpty` tells whether nobody is in its group. */
  removeLeader(pid: number, isEmpty: () => boolean): void {
    this.leaders.delete(pid)
    // While the group has members its number cannot be reused; once it is empty it may be anybody's. A scope
    // that closes does not live long enough for that, and may have a thousand of them.
    if (this.state === 'open' && isEmpty()) this.groups.delete(pid)
  }

  /** Nothing that carries the mark is older. */
  get firstMarkedTick(): number {
    return Math.min(this.firstStartTick, this.foreign.firstTick)
  }

  /** Lets a process go. Returns whether it belonged here. */
  release(pid: number): boolean {
    this.groups.delete(pid)
    this.foreign.release(pid)
    const wasLeader = this.leaders.delete(pid)
    return this.seen.delete(pid) || wasLeader
  }
}

/**
 * Moves a process of a scope, with its tree as it is now, to those that were let go: a daemon that it starts later is known
 * by its session, or not at all. Returns their numbers.
 */
export function letGoTree(scope: ScopeRecord, released: KnownProcesses, root: number): number[] {
  const letGo: number[] = []
  const add = (stat: ProcessStat | undefined): void => {
    if (stat === undefined || released.hasSeen(stat)) return
    released.remember(stat)
    scope.release(stat.pid)
    letGo.push(stat.pid)
    for (const child of childrenOf(stat)) add(statOf(child))
  }
  add(statOf(root))
  return letGo
}
