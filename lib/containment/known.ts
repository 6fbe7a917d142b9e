/** Which processes, groups and sessions are known to belong somewhere. */

import { type ProcessStat, statOf } from '../platform/linux.js'

/** Processes that were seen, and the groups and sessions that they began. */
export class KnownProcesses {
  /** Start time by pid of every process that was once seen to belong here. */
  readonly seen = new Map<number, number>()
  /** Groups and sessions that began here: their number, with the start time of the process that gave it. */
  readonly groups = new Map<number, number>()

  /** Notes a process, so that it is known when its parent is gone. */
  remember(stat: ProcessStat): void {
    this.seen.set(stat.pid, stat.startTick)
    if (stat.pid === stat.group || stat.pid === stat.session) this.groups.set(stat.pid, stat.startTick)
  }

  hasSeen(stat: ProcessStat): boolean {
    return this.seen.get(stat.pid) === stat.startTick
  }

  /** Whether the process is in a group or session that began here. */
  holdsGroupOf(stat: ProcessStat): boolean {
    return this.#isOwnGroup(stat.session, stat) || this.#isOwnGroup(stat.group, stat)
  }

  #isOwnGroup(number: number, stat: ProcessStat): boolean {
    const startTick = this.groups.get(number)
    if (startTick === undefined || stat.startTick < startTick) return false
    // Where another process has the number by now, the group has it from that one.
    const leader = statOf(number)
    return leader === undefined || leader.startTick === startTick
  }
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
