/** Remembers processes, and the groups and sessions that they began, to recognise orphans. */

import { isOutOfDescriptors, type ProcessStat, platform } from '../platform/current.js'
import { isEmptyGroup } from './process-identity.js'

/** A group or session that one of the known processes began: that process gave it its number. */
export interface OwnGroup {
  readonly startTick: number
  readonly session: number
  /**
   * Until then one of the known processes certainly held the number, in clock ticks since boot. It may have
   * been reused since.
   */
  heldUntilTick: number
}

// The clock may be some ticks late. No number is reused that soon.
const slackTicks = 5
// With fewer entries than this, checking which processes have ended is not worth it.
const fewEntries = 64

export class KnownProcesses {
  /** Every process that a scan has found to belong here: its start time by pid. */
  readonly seen = new Map<number, number>()
  /** The groups and sessions that began here, by number. */
  readonly groups = new Map<number, OwnGroup>()
  #pruneAt = 2 * fewEntries

  /** Remembers a process, so that it is recognised after its parent has ended. */
  remember(stat: ProcessStat): void {
    const { pid, startTick, group, session } = stat
    const heldUntilTick = platform.ticksNow()
    this.seen.set(pid, startTick)
    if (pid === group || pid === session) this.groups.set(pid, { startTick, session, heldUntilTick })
    for (const number of [group, session]) {
      const own = this.groups.get(number)
      if (own !== undefined) own.heldUntilTick = heldUntilTick
    }
  }

  /** A group or session with that number begins here, or may begin. */
  addGroup(number: number, { startTick, session }: Pick<ProcessStat, 'startTick' | 'session'>): void {
    this.groups.set(number, { startTick, session, heldUntilTick: platform.ticksNow() })
  }

  /** The groups and sessions among those numbers that began here. */
  ownGroupsAmong(numbers: readonly number[]): Map<number, OwnGroup> {
    const groups = new Map<number, OwnGroup>()
    for (const number of numbers) {
      const own = this.groups.get(number)
      if (own !== undefined) groups.set(number, own)
    }
    return groups
  }

  hasSeen(stat: ProcessStat): boolean {
    return this.seen.get(stat.pid) === stat.startTick
  }

  /**
   * Whether the process is in a group or session with a number that was given here. This proves nothing where
   * unrelated processes are checked, too: the number may have been reused.
   */
  ownsGroupOf(stat: ProcessStat): boolean {
    return this.#isOwnGroup(stat.session, stat) || this.#isOwnGroup(stat.group, stat)
  }

  /**
   * Whether the process was born in a session or group that began here, while a known process held the
   * number. A process can enter a session only by birth, and a group only within its own session, so this
   * needs no other evidence.
   */
  wasBornInGroup(stat: ProcessStat): boolean {
    const { startTick } = stat
    return [stat.session, stat.group].some((number) => {
      const own = this.groups.get(number)
      if (own === undefined || own.session !== stat.session) return false
      return own.startTick <= startTick && startTick <= own.heldUntilTick + slackTicks
    })
  }

  /** The process that gave its pid to a group has just ended. Others may still be in the group. */
  groupLeaderEnded(pid: number): void {
    const own = this.groups.get(pid)
    if (own !== undefined) own.heldUntilTick = platform.ticksNow()
  }

  /** A new process has this pid. So the process that had it before is gone, with its group and session. */
  forgetPid(pid: number): void {
    this.seen.delete(pid)
    this.groups.delete(pid)
  }

  /**
   * Forgets ended processes and empty groups once there are enough entries. `isEmpty` tells whether a group
   * has no process.
   */
  prune(isEmpty: (group: number) => boolean = isEmptyGroup): void {
    if (this.seen.size + this.groups.size < this.#pruneAt) return
    try {
      for (const [pid, startTick] of this.seen) {
        if (platform.statOf(pid)?.startTick !== startTick) this.seen.delete(pid)
      }
    } catch (error) {
      // The rest may stay.
      if (!isOutOfDescriptors(error)) throw error
    }
    for (const number of this.groups.keys()) {
      if (!this.seen.has(number) && isEmpty(number)) this.groups.delete(number)
    }
    this.#pruneAt = 2 * (fewEntries + this.seen.size + this.groups.size)
  }

  /** Forgets the group if it is empty: its number may then be reused. */
  forgetGroupIfEmpty(number: number, isEmpty: (group: number) => boolean): void {
    if (this.groups.has(number) && isEmpty(number)) this.groups.delete(number)
  }

  #isOwnGroup(number: number, stat: ProcessStat): boolean {
    const own = this.groups.get(number)
    if (own === undefined || stat.startTick < own.startTick) return false
    // If another process has this pid by now, the group got its number from that process.
    const leader = platform.statOf(number)
    return leader === undefined || leader.startTick === own.startTick
  }
}
