/** Which processes, groups and sessions are known to belong somewhere. */

import { isOutOfDescriptors, type ProcessStat, statOf, ticksNow } from '../platform/current.js'

/** A group or session that began here, by the process that gave it its number. */
export interface OwnGroup {
  readonly startTick: number
  readonly session: number
  /** Until then a process of ours surely held the number, in clock ticks since boot. It may have been given out again since. */
  heldUntilTick: number
}

// The clock may be late by some ticks. No number is given out again as soon as that.
const slackTicks = 5
// Below that many entries nothing is gained by looking for those that are gone.
const fewEntries = 64

/** Processes that were seen, and the groups and sessions that they began. */
export class KnownProcesses {
  /** Start time by pid of every process that was once seen to belong here. */
  readonly seen = new Map<number, number>()
  /** The groups and sessions that began here, by number. */
  readonly groups = new Map<number, OwnGroup>()
  #pruneAt = 2 * fewEntries

  /** Notes a process, so that it is known when its parent is gone. */
  remember(stat: ProcessStat): void {
    const { pid, startTick, group, session } = stat
    const heldUntil = ticksNow()
    this.seen.set(pid, startTick)
    if (pid === group || pid === session)
      this.groups.set(pid, { startTick, session, heldUntilTick: heldUntil })
    for (const number of [group, session]) {
      const founding = this.groups.get(number)
      if (founding !== undefined) founding.heldUntilTick = heldUntil
    }
  }

  /** Notes that a group or session of that number begins here, or may begin. */
  addGroup(number: number, { startTick, session }: Pick<ProcessStat, 'startTick' | 'session'>): void {
    this.groups.set(number, { startTick, session, heldUntilTick: ticksNow() })
  }

  /** Of those numbers, the groups and sessions that began here. */
  ownGroupsAmong(numbers: readonly number[]): Map<number, OwnGroup> {
    const foundings = new Map<number, OwnGroup>()
    for (const number of numbers) {
      const founding = this.groups.get(number)
      if (founding !== undefined) foundings.set(number, founding)
    }
    return foundings
  }

  hasSeen(stat: ProcessStat): boolean {
    return this.seen.get(stat.pid) === stat.startTick
  }

  /**
   * Whether the process is in a group or session whose number was given here. It is no proof where strangers are looked
   * at, too: the number may be another one's by now.
   */
  ownsGroupOf(stat: ProcessStat): boolean {
    return this.#isOwnGroup(stat.session, stat) || this.#isOwnGroup(stat.group, stat)
  }

  /**
   * Whether the process was born in a session or group that began here, while that was held here. Nobody enters a session but by
   * birth, nor a group of another session, so this needs no other evidence.
   */
  wasBornInGroup(stat: ProcessStat): boolean {
    const { startTick } = stat
    return [stat.session, stat.group].some((number) => {
      const founding = this.groups.get(number)
      if (founding === undefined || founding.session !== stat.session) return false
      return founding.startTick <= startTick && startTick <= founding.heldUntilTick + slackTicks
    })
  }

  /** A process that gave its number to a group has ended just now; others may be in the group. */
  groupLeaderEnded(pid: number): void {
    const founding = this.groups.get(pid)
    if (founding !== undefined) founding.heldUntilTick = ticksNow()
  }

  /** A new process has that number: whatever had it is gone, and so are its group and session. */
  forgetPid(pid: number): void {
    this.seen.delete(pid)
    this.groups.delete(pid)
  }

  /** Forgets what is gone, when that is worth a look. `isEmpty` tells whether nobody is in the group of a number. */
  prune(isEmpty: (group: number) => boolean = isEmptyGroup): void {
    if (this.seen.size + this.groups.size < this.#pruneAt) return
    try {
      for (const [pid, startTick] of this.seen) {
        if (statOf(pid)?.startTick !== startTick) this.seen.delete(pid)
      }
    } catch (error) {
      // They may stay.
      if (!isOutOfDescriptors(error)) throw error
    }
    for (const number of this.groups.keys()) {
      if (!this.seen.has(number) && isEmpty(number)) this.groups.delete(number)
    }
    this.#pruneAt = 2 * (fewEntries + this.seen.size + this.groups.size)
  }

  #isOwnGroup(number: number, stat: ProcessStat): boolean {
    const founding = this.groups.get(number)
    if (founding === undefined || stat.startTick < founding.startTick) return false
    // Where another process has the number by now, the group has it from that one.
    const leader = statOf(number)
    return leader === undefined || leader.startTick === founding.startTick
  }
}

/** Names one process: its number alone may be another's later. */
export function processKey({ pid, startTick }: Pick<ProcessStat, 'pid' | 'startTick'>): string {
  return `${pid}:${startTick}`
}

/** Whether a group has no process, not even a zombie: its number may be given out again. */
export function isEmptyGroup(group: number): boolean {
  try {
    process.kill(-group, 0)
    return false
  } catch (error) {
    // EPERM means that there is somebody.
    return (error as NodeJS.ErrnoException).code === 'ESRCH'
  }
}
