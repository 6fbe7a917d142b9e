/** A look at every process for what names a worker: the marks of subprocesses and of keepers. */

import { keeperMarkName, markName, type WorkerName, workerIn, workerMarkIn } from '../mark.js'
import { allProcesses, environmentOf, type ProcessStat } from '../platform/linux.js'

/** What was seen of one worker. */
export interface WorkerSigns {
  readonly name: WorkerName
  readonly keepers: ProcessStat[]
  /** The processes that carry the mark of a scope, by its number. */
  readonly marked: Map<number, ProcessStat[]>
}

export interface Look {
  readonly processes: ReadonlyMap<number, ProcessStat>
  readonly workers: ReadonlyMap<string, WorkerSigns>
  /** All that descends from these and carries no other mark, themselves included. */
  treesOf(roots: readonly ProcessStat[]): ProcessStat[]
}

/** Looks at all that this user may see. */
export function lookForMarks(): Look {
  // Who looks is not looked at, though it has a worker's mark when that has started it.
  const others = allProcesses((pid) => pid === process.pid)
  const processes = new Map(others.map((stat) => [stat.pid, stat]))
  const workers = new Map<string, WorkerSigns>()
  const markOf = new Map<number, string>()
  const childrenOf = new Map<number, ProcessStat[]>()
  const signsOf = (workerMark: string, name: WorkerName): WorkerSigns => {
    const signs = workers.get(workerMark) ?? { name, keepers: [], marked: new Map() }
    workers.set(workerMark, signs)
    return signs
  }

  for (const stat of processes.values()) {
    addTo(childrenOf, stat.parent, stat)
    if (!stat.alive) continue
    const kept = keptWorkerOf(stat)
    const keptName = kept === undefined ? undefined : workerIn(kept)
    if (kept !== undefined && keptName !== undefined) {
      markOf.set(stat.pid, kept)
      signsOf(kept, keptName).keepers.push(stat)
      continue
    }
    const mark = environmentOf(stat.pid, markName) ?? ''
    const [workerMark, name] = [workerMarkIn(mark), workerIn(mark)]
    if (workerMark === undefined || name === undefined) continue
    markOf.set(stat.pid, mark)
    const { marked } = signsOf(workerMark, name)
    addTo(marked, Number(mark.slice(workerMark.length + 1)), stat)
  }

  const treesOf = (roots: readonly ProcessStat[]): ProcessStat[] => {
    const found = new Set(roots)
    // A set hands out what is added while it is read.
    for (const stat of found) {
      for (const child of childrenOf.get(stat.pid) ?? []) if (!markOf.has(child.pid)) found.add(child)
    }
    return [...found]
  }
  return { processes, workers, treesOf }
}

/** The mark of the worker whose keeper it is. What a keeper starts may have its variables, and is none. */
function keptWorkerOf({ pid, parent }: ProcessStat): string | undefined {
  const kept = environmentOf(pid, keeperMarkName)
  if (kept === undefined || environmentOf(parent, keeperMarkName) === kept) return undefined
  return kept
}

function addTo(lists: Map<number, ProcessStat[]>, key: number, stat: ProcessStat): void {
  const list = lists.get(key)
  if (list === undefined) lists.set(key, [stat])
  else list.push(stat)
}
