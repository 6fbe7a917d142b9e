/** Translates the pids that a keeper reports: it may run in a PID namespace below this one. */

import { type ProcessStat, platform } from '../platform/current.js'
import type { MachineSnapshot } from './scan-for-workers.js'

/**
 * Returns a function from the keeper's pids to the pids here. It returns undefined for a pid that cannot be
 * translated. `marked` are the processes with a mark of the keeper's worker.
 */
export function pidTranslator(
  keeper: ProcessStat,
  marked: readonly ProcessStat[],
  snapshot: MachineSnapshot
): (pid: number) => number | undefined {
  const namespace = platform.pidNamespaceOf(keeper.pid)
  if (namespace === undefined || namespace === platform.pidNamespace()) return (pid) => pid
  const level = platform.pidsInNamespaces(keeper.pid).length - 1
  const pidsHere = new Map<number, number>()
  for (const { pid } of snapshot.processes.values()) {
    if (platform.pidNamespaceOf(pid) === namespace)
      pidsHere.set(platform.pidsInNamespaces(pid)[level] ?? pid, pid)
  }
  // Processes in namespaces further below have a pid at that level, too. Only marks tell which of them belong
  // here.
  for (const { pid } of marked) {
    const keepersPid = platform.pidsInNamespaces(pid)[level]
    if (keepersPid !== undefined) pidsHere.set(keepersPid, pid)
  }
  return (pid) => pidsHere.get(pid)
}
