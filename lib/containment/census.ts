/** A census finds the processes of each scope. There is one census for each containment level. */

import type { Containment } from '../containment-level.js'
import type { ProcessStat, ProcessUsage } from '../platform/current.js'
import type { EndedProcess, ProcessName } from '../wire/messages.js'
import type { UsageSummary } from '../wire/usage.js'
import type { ScopeRecord, TerminateOptions } from './scope-record.js'

/** One process of a scope, as the last scan found it. */
export interface Member {
  readonly stat: ProcessStat
  /**
   * Whether it is a child of the keeper that has not been reaped. Its pid and the number of its process group
   * cannot be reused until the keeper's event loop turns.
   */
  readonly isOwnChild: boolean
}

/** Scans for the processes that end together. A scan that fails for lack of file descriptors throws. */
export interface Scanner {
  /** The number of the only command whose processes it finds. Absent if it finds those of the whole scope. */
  readonly command?: number
  /**
   * Every process of the scope, including the keeper's own unreaped zombies. With `most`, about that many
   * where the scan can stop early.
   */
  members(scope: ScopeRecord, most?: number): Member[]
  /** Whether a scan finds no process of the scope. */
  isEmpty(scope: ScopeRecord): boolean
  /**
   * Whether the pid still belongs to the process that was scanned: it may have been reused since. Call this
   * right before each signal. Where an orphan cannot be found by its origin, this also notes the children of
   * the process.
   */
  confirmIdentity(scope: ScopeRecord, member: Member): boolean
  /**
   * Signals what descends from the commands, where processes cannot be listed. Absent where they can: there the members
   * are signalled.
   */
  signalDescendants?(scope: ScopeRecord, signal: NodeJS.Signals): Promise<void>
  /** Runs a long scan for the next answers. Absent where each answer comes from a scan of its own. */
  prepareScan?(): Promise<void>
  /** Resolves when something may have changed for the scope, after `ms` at the latest. */
  waitForChange(scope: ScopeRecord, ms: number): Promise<void>
  /**
   * Stops the processes of the scope, so that none is born while they are signalled. Resolves with a function
   * that lets them run again. Absent where the system cannot.
   */
  freeze?(scope: ScopeRecord): Promise<() => void>
  /** Kills processes of the scope at once, and returns their pids. Absent where the system cannot. */
  kill?(scope: ScopeRecord): ReadonlySet<number>
  /** Many processes are about to end: reap them together, after `ms`. Absent if none is reaped here. */
  delayReaping?(ms: number): void
}

/** Finds the processes of each scope of a keeper. */
export interface Census extends Scanner {
  readonly containment: Containment
  /** With the number of a command: only the processes of that command. */
  members(scope: ScopeRecord, most?: number, command?: number): Member[]
  isEmpty(scope: ScopeRecord, command?: number): boolean
  signalDescendants?(scope: ScopeRecord, signal: NodeJS.Signals, command?: number): Promise<void>
  /**
   * Finds the processes of this scope from now on. A lost keeper may have started some in the cgroup with this
   * directory.
   */
  open(scope: ScopeRecord, cgroup?: string): void
  /** A command was started for the scope. `pid` is its leader. */
  leaderStarted(scope: ScopeRecord, pid: number, command: string): void
  /**
   * The leader has ended and was reaped. The processes that it started may still run. `usage` is what it has used
   * with those that it has waited for, if that is known.
   */
  leaderEnded(scope: ScopeRecord, pid: number, usage: ProcessUsage | undefined): void
  /**
   * Releases a command: its leader, the leader's descendants, and what carries the mark of the scope later
   * belong to no scope any more.
   */
  release(scope: ScopeRecord, pid: number): void
  /** The same for a process that the keeper did not start. Its mark is not the scope's: it proves nothing. */
  releaseExternal(scope: ScopeRecord, pid: number): void
  /**
   * Adds a process that the keeper did not start. Absent where all processes are searched for the scope's.
   */
  adopt?(scope: ScopeRecord, process: ProcessName, command: number): void
  /** An adopted process has exited, and its pid may be reused. */
  adoptedExited?(scope: ScopeRecord, pid: number): void
  /**
   * Ends the processes of a scope, or of one command, where the system has a way of its own. Absent where they
   * are found and signalled (`terminate.ts`).
   */
  terminate?(scope: ScopeRecord, how: TerminateOptions, command?: number): Promise<EndedProcess[]>
  /**
   * Whether a released process of the scope of this number runs. Absent where its mark tells
   * (`marked-processes.ts`).
   */
  hasReleased?(scope: number): boolean
  /**
   * The processes of the scope that are known, and their descendants, without a scan of all processes. Absent where
   * `members` makes none.
   */
  knownMembers?(scope: ScopeRecord): Member[]
  /**
   * The memory at which the system has killed processes of the scope, in bytes. Undefined if it has not. Absent where it
   * does not limit the memory of a scope.
   */
  exhaustedMemoryOf?(scope: ScopeRecord): number | undefined
  /** What the system itself has counted for the scope. Absent where it counts nothing. */
  usageOf?(scope: ScopeRecord): UsageSummary
  /** The scope is closed. Processes that it still has are survivors. */
  close(scope: ScopeRecord, hasSurvivors: boolean): void
}
