/** A process is identified by pid and start time: the pid alone may be reused by another process. */

import type { ProcessStat } from '../platform/current.js'

/** The key of one process in a map or set. */
export function processKey({ pid, startTick }: Pick<ProcessStat, 'pid' | 'startTick'>): string {
  return `${pid}:${startTick}`
}

/** Whether any process has this pid, even a zombie. Needs no file descriptor. */
export function pidExists(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    // EPERM: there is such a process. Nothing can be concluded from a number that is no pid.
    return (error as NodeJS.ErrnoException).code !== 'ESRCH'
  }
}

/** Whether a process group has no process, not even a zombie. Its number may then be reused. */
export function isEmptyGroup(group: number): boolean {
  try {
    process.kill(-group, 0)
    return false
  } catch (error) {
    // EPERM: the group has a process.
    return (error as NodeJS.ErrnoException).code === 'ESRCH'
  }
}
