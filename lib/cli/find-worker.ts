/** Where the worker is that a mark names: which process of ours, if it is one, and if it runs. */

import {
  bootId,
  type ProcessStat,
  pidNamespace,
  pidNamespaceOf,
  pidsInNamespaces
} from '../platform/current.js'
import type { WorkerName } from '../wire/mark.js'
import type { Look } from './scan-for-marks.js'

/** Whether a worker runs. What is elsewhere is in a PID namespace that cannot be looked into from here. */
export type WorkerPlace =
  | { readonly state: 'running'; readonly stat: ProcessStat }
  | { readonly state: 'gone' | 'elsewhere' }

/** Finds the worker that a mark names; its keeper is its child. */
export function findWorker(name: WorkerName, keeper: ProcessStat | undefined, look: Look): WorkerPlace {
  const isWorker = (stat: ProcessStat | undefined): stat is ProcessStat =>
    stat?.alive === true && stat.startTick === name.startTick
  // No process has outlived its boot: the mark was copied.
  if (name.bootId !== bootId()) return { state: 'gone' }
  const parent = keeper === undefined ? undefined : look.processes.get(keeper.parent)
  if (isWorker(parent)) return { state: 'running', stat: parent }
  if (name.pidNamespace === pidNamespace()) {
    const stat = look.processes.get(name.pid)
    return isWorker(stat) ? { state: 'running', stat } : { state: 'gone' }
  }
  const neighbours = [...look.processes.values()].filter(
    ({ pid }) => pidNamespaceOf(pid) === name.pidNamespace
  )
  const stat = neighbours.find((one) => isWorker(one) && pidsInNamespaces(one.pid).at(-1) === name.pid)
  if (stat !== undefined) return { state: 'running', stat }
  // Of a namespace below ours every process is seen, and of any other none.
  return { state: neighbours.length > 0 ? 'gone' : 'elsewhere' }
}

/** Which of our numbers a keeper's numbers are: it may live in a PID namespace below ours. */
export function numbersAsSeenBy(
  keeper: ProcessStat,
  marked: readonly ProcessStat[],
  look: Look
): (pid: number) => number | undefined {
  const namespace = pidNamespaceOf(keeper.pid)
  if (namespace === undefined || namespace === pidNamespace()) return (pid) => pid
  // What is further below has a number there, too, but who else is there only a mark can tell.
  const level = pidsInNamespaces(keeper.pid).length - 1
  const ours = new Map<number, number>()
  for (const { pid } of look.processes.values()) {
    if (pidNamespaceOf(pid) === namespace) ours.set(pidsInNamespaces(pid)[level] ?? pid, pid)
  }
  for (const { pid } of marked) {
    const theirs = pidsInNamespaces(pid)[level]
    if (theirs !== undefined) ours.set(theirs, pid)
  }
  return (pid) => ours.get(pid)
}
