/** A look at every process for what names a worker: the marks of subprocesses and of keepers. */

import { ProcessTree } from '../containment/process-tree.js'
import { allProcesses, environmentOf, numbersOf, type ProcessStat } from '../platform/current.js'
import { keeperMarkName, markName, type WorkerName, workerIn, workerMarkIn } from '../wire/mark.js'

/** What was seen of one worker. */
export interface WorkerSigns {
  readonly name: WorkerName
  readonly keepers: ProcessStat[]
  /**
   * The processes that carry the mark of a scope, by its number, but for those that a service has started: it gives them the
   * environment of whoever asks it to, and has not the mark itself.
   */
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
  const carriers: { stat: ProcessStat; signs: WorkerSigns; scope: number }[] = []
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
    carriers.push({
      stat,
      signs: signsOf(workerMark, name),
      scope: Number(mark.slice(workerMark.length + 1))
    })
  }

  const tree = new ProcessTree(others)
  const above = new Set<number>()
  const keepers = [...workers.values()].flatMap((signs) => signs.keepers)
  for (const from of [processes.get(process.ppid), ...keepers]) {
    if (from !== undefined) for (const { pid } of tree.lineage(from)) above.add(pid)
  }
  // What all of a chain have above them is looked for once: it may be thousands long.
  const unmarkedAbove = new Map<number, ProcessStat | undefined>()
  for (const { stat, signs, scope } of carriers) {
    const line: number[] = []
    let unmarked: ProcessStat | undefined
    for (const at of tree.lineage(stat)) {
      unmarked = markOf.has(at.pid) ? unmarkedAbove.get(at.pid) : at
      if (unmarked !== undefined || unmarkedAbove.has(at.pid)) break
      line.push(at.pid)
    }
    for (const pid of line) unmarkedAbove.set(pid, unmarked)
    if (unmarked === undefined || mayHaveOurs(unmarked, signs.name, above)) addTo(signs.marked, scope, stat)
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

/**
 * Whether a process without a mark may have a child of the worker's: it is the worker, or takes in orphans, as the first process
 * of a PID namespace does, and perhaps one that is above a worker.
 */
function mayHaveOurs(
  { pid, startTick }: ProcessStat,
  worker: WorkerName,
  above: ReadonlySet<number>
): boolean {
  return startTick === worker.startTick || above.has(pid) || numbersOf(pid).at(-1) === 1
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
