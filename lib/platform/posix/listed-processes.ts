/** The processes of this machine, as ps lists them. */

import type { ProcessStat } from '../platform.js'
import { ProcessListError } from '../process-list-error.js'
import { type ListedProcess, listProcesses, parseProcesses } from './parse-ps.js'
import { PsReading } from './ps-reading.js'

interface List {
  readonly byPid: ReadonlyMap<number, ListedProcess>
  readonly childrenByParent: ReadonlyMap<number, number[]>
}

export const list = new PsReading(listProcesses, indexed)

/** Living processes that the list does not show, even if it is read again. */
const unlisted = new Set<number>()

/** A process. Undefined if there is none with that pid. */
export function statOf(pid: number): ListedProcess | undefined {
  const listed = list.get().byPid.get(pid)
  if (listed !== undefined || unlisted.has(pid) || !isOwnAndAlive(pid)) return listed
  // It was probably born after the reading.
  if (unlisted.size === 0) setImmediate(() => unlisted.clear())
  unlisted.add(pid)
  list.forget()
  return list.get().byPid.get(pid)
}

export function allProcesses(isLeftOut: (pid: number) => boolean = () => false): ProcessStat[] {
  return [...list.get().byPid.values()].filter(({ pid }) => !isLeftOut(pid))
}

export function allPids(): number[] {
  return [...list.get().byPid.keys()]
}

export function childrenOf({ pid }: Pick<ProcessStat, 'pid'>): number[] {
  return list.get().childrenByParent.get(pid) ?? []
}

function indexed(output: string): List {
  const byPid = new Map<number, ListedProcess>()
  const childrenByParent = new Map<number, number[]>()
  for (const listed of parseProcesses(output)) {
    const { pid, parent } = listed
    if (isOwnPs(listed)) continue
    byPid.set(pid, listed)
    const siblings = childrenByParent.get(parent)
    if (siblings === undefined) childrenByParent.set(parent, [pid])
    else siblings.push(pid)
  }
  if (byPid.has(process.pid)) return { byPid, childrenByParent }
  throw new ProcessListError(`ps does not list this process: ${output.split('\n', 1)}`)
}

/** Whether a process has that pid that this one may signal. Those of other users may be hidden, in each reading. */
function isOwnAndAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

/** Whether it is the ps that made the list. By the time the list is read, it has ended. */
function isOwnPs({ parent, command }: ListedProcess): boolean {
  return parent === process.pid && command.endsWith(` ${listProcesses.join(' ')}`)
}
