/** The processes of this machine, as ps lists them. */

import type { ProcessStat } from '../platform.js'
import { ProcessListError } from '../process-list-error.js'
import { type ListedProcess, listProcesses, parseProcesses } from './parse-ps.js'
import { PsReading } from './ps-reading.js'

const list = new PsReading(listProcesses, (output) => {
  const processes = new Map<number, ListedProcess>()
  for (const listed of parseProcesses(output)) if (!isOwnPs(listed)) processes.set(listed.pid, listed)
  if (!processes.has(process.pid))
    throw new ProcessListError(`ps does not list this process: ${output.split('\n', 1)}`)
  return processes
})

/** Reads the list without blocking the event loop, for the rest of the turn in which this resolves. */
export function listAhead(): Promise<void> {
  return list.readAhead()
}

/** A process. Undefined if there is none with that pid. */
export function statOf(pid: number): ListedProcess | undefined {
  const listed = list.get().get(pid)
  if (listed !== undefined || !isOwnAndAlive(pid)) return listed
  // It was born after the reading.
  list.forget()
  return list.get().get(pid)
}

export function allProcesses(isLeftOut: (pid: number) => boolean = () => false): ProcessStat[] {
  return [...list.get().values()].filter(({ pid }) => !isLeftOut(pid))
}

export function allPids(): number[] {
  return [...list.get().keys()]
}

export function childrenOf({ pid }: Pick<ProcessStat, 'pid'>): number[] {
  return allProcesses().flatMap((listed) => (listed.parent === pid ? listed.pid : []))
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
