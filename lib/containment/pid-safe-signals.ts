/** Sends a signal only to a process or group whose pid cannot have been reused by another one. */

import { isOutOfDescriptors, type NativeCalls, platform } from '../platform/current.js'
import type { Member, Scanner } from './census.js'
import type { ScopeRecord } from './scope-record.js'

const noGroups: ReadonlySet<number> = new Set()

// The process group of this process, which never changes. Undefined until it is needed.
let keeperGroup: number | undefined

export class PidSafeSignals {
  /** The groups that were signalled as a whole. */
  readonly groups = new Set<number>()
  readonly #scanner: Scanner
  readonly #scope: ScopeRecord
  readonly #native: NativeCalls | undefined
  #lastAt = 0

  constructor(scanner: Scanner, scope: ScopeRecord, native: NativeCalls | undefined) {
    this.#scanner = scanner
    this.#scope = scope
    this.#native = native
  }

  /** When the last signals to many were sent, in ms by `performance.now()`. */
  get lastAt(): number {
    return this.#lastAt
  }

  /**
   * Signals groups first, since no fork escapes a signal to its group, then each process that is in none of
   * these groups. A group is signalled only while an unreaped child of the keeper is in it: then its number
   * is certainly its own. Groups in `except` have a process that must not get the signal: their processes are
   * signalled one by one.
   */
  sendToAll(
    members: readonly Member[],
    signal: NodeJS.Signals,
    except: ReadonlySet<number> = noGroups
  ): void {
    this.#lastAt = performance.now()
    const groups = new Set<number>()
    for (const { stat, isOwnChild } of members) {
      if (!isOwnChild || groups.has(stat.group) || except.has(stat.group)) continue
      if (this.sendToGroup(stat.group, signal)) groups.add(stat.group)
    }
    for (const member of members) {
      if (!groups.has(member.stat.group)) this.send(member, signal)
    }
  }

  /** Signals a group in which an unreaped child of the keeper is. Returns whether that was done. */
  sendToGroup(group: number, signal: NodeJS.Signals): boolean {
    // kill(0) would signal the keeper's own group, and kill(-1) all processes (kill(2)).
    keeperGroup ??= platform.statOf(process.pid)?.group
    if (group <= 1 || group === keeperGroup) return false
    if (platform.signalByPid(-group, signal, () => true) !== undefined) return false
    this.groups.add(group)
    return true
  }

  /**
   * Kills a leader, which is an unreaped child of the keeper, with its groups. Needs no file descriptor. Returns
   * whether any of them could be signalled.
   */
  killLeader(pid: number): boolean {
    const targets = [...this.#scope.groupsOf(pid).map((group) => -group), pid]
    const refusals = targets.map((target) => platform.signalByPid(target, 'SIGKILL', () => true))
    return refusals.includes(undefined)
  }

  /**
   * Signals one process. The pid of an unreaped child cannot have been reused. For any other process the
   * identity is confirmed first: with a pidfd already open, where there are pidfds. Returns the error code,
   * or undefined.
   */
  send(member: Member, signal: NodeJS.Signals): string | undefined {
    const { pid } = member.stat
    if (pid <= 1 || pid === process.pid) return undefined
    if (member.isOwnChild) return platform.signalByPid(pid, signal, () => true)
    const isConfirmed = (): boolean => {
      try {
        return this.#scanner.confirmIdentity(this.#scope, member)
      } catch (error) {
        if (!isOutOfDescriptors(error)) throw error
        // Signal the other processes anyway.
        return false
      }
    }
    if (this.#native === undefined) return platform.signalByPid(pid, signal, isConfirmed)
    return this.#native.signalConfirmed(pid, signal, isConfirmed)
  }
}
