/** Whether the worker that a mark names is alive. */

import { bootId, pidNamespace, statOf } from '../platform/current.js'
import type { WorkerName } from '../wire/mark.js'

/** Whether the worker's number is one of this boot and this PID namespace: of others nothing can be said here. */
export function isLocal(worker: Pick<WorkerName, 'bootId' | 'pidNamespace'>): boolean {
  return worker.bootId === bootId() && worker.pidNamespace === pidNamespace()
}

/**
 * Whether a worker of this boot and PID namespace is alive. A zombie is not. One that cannot be looked at (of another
 * user, with hidepid) is as long as there is any process of its number.
 */
export function isAlive({ pid, startTick }: Pick<WorkerName, 'pid' | 'startTick'>): boolean {
  const stat = statOf(pid)
  if (stat === undefined) return pidExists(pid)
  // A mark says 0 where the start could not be read, and nothing then against who has the number.
  return stat.alive && (stat.startTick === startTick || startTick === 0)
}

/** Whether there is a process of that number, be it a zombie. It needs no descriptor. */
export function pidExists(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    // EPERM means that there is somebody; what is no number of a process says nothing.
    return (error as NodeJS.ErrnoException).code !== 'ESRCH'
  }
}
