/** Whether the worker that a mark names is alive. */

import { platform } from '../platform/current.js'
import type { WorkerName } from '../wire/mark.js'
import { pidExists } from './process-identity.js'

/** Whether the pid is from this boot and PID namespace. Nothing can be concluded about any other. */
export function isLocal(worker: Pick<WorkerName, 'bootId' | 'pidNamespace'>): boolean {
  return worker.bootId === platform.bootId() && worker.pidNamespace === platform.pidNamespace()
}

/**
 * Whether a worker of this boot and PID namespace is alive. A zombie is not. A worker that cannot be
 * inspected (one of another user, with hidepid) counts as alive as long as any process has its pid.
 */
export function isAlive({ pid, startTick }: Pick<WorkerName, 'pid' | 'startTick'>): boolean {
  const stat = platform.statOf(pid)
  if (stat === undefined) return pidExists(pid)
  // A mark has 0 where the start time could not be read. Then any process with this pid may be the worker.
  return stat.alive && (stat.startTick === startTick || startTick === 0)
}
