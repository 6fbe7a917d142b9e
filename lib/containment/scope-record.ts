/** What the keeper knows about one scope: its processes, their commands, and how they are to be ended. */

import type { FirstSignalTo } from '../options.js'
import { isOutOfDescriptors, type NativeCalls, type ProcessUsage, platform } from '../platform/current.js'
import { defaultPriority, type ResolvedPriority } from '../priority-options.js'
import type { ResolvedRlimits } from '../rlimit-options.js'
import type { ScopeLimits } from '../scope-limits.js'
import type { ScopeFolder } from '../wire/messages.js'
import { CommandRegistry } from './command-registry.js'
import { ExternalProcesses } from './external-processes.js'
import { KnownProcesses } from './known-processes.js'
import { UsageAccount } from './usage-account.js'

/** How the processes of a scope are ended. */
export interface TerminateOptions {
  /** The time between the first signal and SIGKILL, in ms. */
  readonly graceMs: number
  readonly killSignal: NodeJS.Signals
  /** Default `'tree'`. */
  readonly firstSignalTo?: FirstSignalTo | undefined
}

/** How the processes of a scope run. */
export interface RunOptions {
  readonly priority?: ResolvedPriority | undefined
  /** Of each command that is started. */
  readonly rlimits?: ResolvedRlimits | undefined
  readonly limits?: ScopeLimits | undefined
}

export class ScopeRecord extends KnownProcesses {
  readonly number: number
  /** The value of the mark. Invariant: never empty, since an empty mark would match processes without one. */
  readonly mark: string
  graceMs: number
  killSignal: NodeJS.Signals
  readonly firstSignalTo: FirstSignalTo
  readonly priority: ResolvedPriority
  readonly rlimits: ResolvedRlimits | undefined
  readonly commands: CommandRegistry
  /** The keys of the processes that got their first signal: some programs treat a second one differently. */
  readonly firstSignalled = new Set<string>()
  /** The running processes that the keeper started: the command of each, by pid. */
  readonly leaders = new Map<number, string>()
  /** The groups that were created for leaders that do not lead a group, by the leader's pid. */
  readonly #madeGroups = new Map<number, number>()
  /** The pids of the processes that became children of the keeper when their parents died. */
  readonly orphans = new Set<number>()
  /** Directories to remove when every process has ended. */
  readonly folders: ScopeFolder[] = []
  /** Whether a released process may use the TMPDIR of the scope. */
  hasReleased = false
  /** Why the processes could not be scanned when the scope was ended; undefined if they could. */
  scanFailure: string | undefined
  /**
   * A lower bound of the start times, in clock ticks since boot: no process that the keeper started for the
   * scope is older, and none that these started.
   */
  firstStartTick = Number.POSITIVE_INFINITY
  /** What its processes may use together. */
  readonly limits: ScopeLimits
  /** What its processes have used. */
  readonly usage = new UsageAccount()
  /** The processes that the keeper did not start: their orphans do not become children of the keeper. */
  readonly external: ExternalProcesses
  state: 'open' | 'closing' | 'closed' = 'open'

  constructor(
    number: number,
    mark: string,
    {
      graceMs,
      killSignal,
      firstSignalTo = 'tree',
      priority,
      rlimits,
      limits = {}
    }: TerminateOptions & RunOptions,
    native: NativeCalls | undefined
  ) {
    super()
    if (mark === '') throw new RangeError('a mark must not be empty')
    this.number = number
    this.mark = mark
    this.graceMs = graceMs
    this.killSignal = killSignal
    this.firstSignalTo = firstSignalTo
    this.priority = priority ?? defaultPriority
    this.rlimits = rlimits
    this.limits = limits
    this.commands = new CommandRegistry(mark)
    this.external = new ExternalProcesses(this, native)
  }

  /** Whether a process with this mark belongs to the scope. */
  owns(mark: string): boolean {
    return mark === this.mark
  }

  /**
   * Adds the leader of a command that was started. It leads its own session and group, or is the only process
   * of a group that was created for it. Call `inspectLeader` before it is reaped.
   */
  addLeader(pid: number, command: string): void {
    this.leaders.set(pid, command)
    this.usage.noteAlive(this.leaders.size + this.orphans.size)
  }

  /** Notes the start time and group of a leader, so that the processes it leaves behind are recognised. */
  inspectLeader(pid: number): void {
    try {
      const stat = platform.statOfOwnChild(pid)
      if (stat === undefined) return
      if (stat === 'unread') {
        this.#assumeLeader(pid)
        return
      }
      this.firstStartTick = Math.min(this.firstStartTick, stat.startTick)
      this.remember(stat)
      // The leader may call setsid() only after this.
      this.addGroup(pid, { startTick: stat.startTick, session: pid })
      if (stat.group === pid) return
      this.addGroup(stat.group, stat)
      this.#madeGroups.set(pid, stat.group)
    } catch (error) {
      if (!isOutOfDescriptors(error)) throw error
      // With the lowest possible bound, this scope may have started any process.
      this.firstStartTick = 0
    }
  }

  /** Notes what is certain of a leader that was started in this turn of the event loop: it leads a session. */
  #assumeLeader(pid: number): void {
    const startTick = platform.ticksNow()
    this.firstStartTick = Math.min(this.firstStartTick, startTick)
    this.addGroup(pid, { startTick, session: pid })
  }

  /** A leader was reaped, and had used so much. `isEmpty` tells whether a group has no process. */
  removeLeader(pid: number, usage: ProcessUsage | undefined, isEmpty: (group: number) => boolean): void {
    // What a released command has used is not the scope's.
    if (this.leaders.delete(pid) && usage !== undefined) this.usage.add(usage)
    // While a group has members, its number cannot be reused; once it is empty, any process may get that
    // number. A scope that is closing ends before that can happen, and may have a thousand leaders: skip the
    // check there.
    const isOpen = this.state === 'open'
    const groups = this.groupsOf(pid)
    const left = isOpen ? groups.filter((group) => !isEmpty(group)) : []
    this.commands.leaderEnded(pid, this.ownGroupsAmong(left))
    if (!isOpen) return
    for (const group of groups) if (!left.includes(group)) this.groups.delete(group)
    this.#madeGroups.delete(pid)
  }

  /** No process that carries the mark is older, in clock ticks since boot. */
  get firstMarkedTick(): number {
    return Math.min(this.firstStartTick, this.external.firstTick)
  }

  /** Releases a process. Returns whether it belonged to the scope. */
  release(pid: number): boolean {
    for (const group of this.groupsOf(pid)) this.groups.delete(group)
    this.external.release(pid)
    this.commands.leaderEnded(pid, new Map())
    const wasLeader = this.leaders.delete(pid)
    return this.seen.delete(pid) || wasLeader
  }

  /** The numbers of its own group and session, and of the group that was created for it. */
  groupsOf(pid: number): number[] {
    const made = this.#madeGroups.get(pid)
    return made === undefined ? [pid] : [pid, made]
  }
}
