/** Finds the process of the worker that a mark names. */

import { type ProcessStat, platform } from '../platform/current.js'
import type { WorkerName } from '../wire/mark.js'
import type { MachineSnapshot } from './scan-for-workers.js'

/** `elsewhere`: in a PID namespace whose processes cannot be seen from here. */
export type WorkerLocation =
  | { readonly state: 'running'; readonly stat: ProcessStat }
  | { readonly state: 'gone' | 'elsewhere' }

/** `keeper` is the keeper of the worker, if there is one: it is a child of the worker. */
export function findWorker(
  name: WorkerName,
  keeper: ProcessStat | undefined,
  snapshot: MachineSnapshot
): WorkerLocation {
  const isWorker = (stat: ProcessStat | undefined): stat is ProcessStat =>
    stat?.alive === true && stat.startTick === name.startTick
  // A mark of an earlier boot was copied: no process outlives its boot.
  if (name.bootId !== platform.bootId()) return { state: 'gone' }
  const parent = keeper === undefined ? undefined : snapshot.processes.get(keeper.parent)
  if (isWorker(parent)) return { state: 'running', stat: parent }
  if (name.pidNamespace === platform.pidNamespace()) {
    const stat = snapshot.processes.get(name.pid)
    return isWorker(stat) ? { state: 'running', stat } : { state: 'gone' }
  }
  const neighbours = [...snapshot.processes.values()].filter(
    ({ pid }) => platform.pidNamespaceOf(pid) === name.pidNamespace
  )
  const stat = neighbours.find(
    (one) => isWorker(one) && platform.pidsInNamespaces(one.pid).at(-1) === name.pid
  )
  if (stat !== undefined) return { state: 'running', stat }
  // All processes of a PID namespace below this one can be seen, and none of any other.
  return { state: neighbours.length > 0 ? 'gone' : 'elsewhere' }
}
