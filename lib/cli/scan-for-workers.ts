/** Scans all processes for workers: those that the marks of subprocesses and keepers name. */

import { ProcessTree } from '../containment/process-tree.js'
import { type ProcessStat, platform } from '../platform/current.js'
import { keeperMarkName, markName, type WorkerName, workerIn, workerMarkIn } from '../wire/mark.js'

/** A worker, and the processes whose marks name it. */
export interface MarkedWorker {
  readonly name: WorkerName
  readonly keepers: ProcessStat[]
  /**
   * The processes with the mark of a scope, by the number of the scope. Without those that a service has
   * started: a service passes on the environment of the process that requests it, and carries no mark itself.
   */
  readonly marked: Map<number, ProcessStat[]>
}

export interface MachineSnapshot {
  /** All processes, by pid, except this one. */
  readonly processes: ReadonlyMap<number, ProcessStat>
  /** By the common prefix of their marks. */
  readonly workers: ReadonlyMap<string, MarkedWorker>
  /** These processes and their descendants, up to those with a mark of their own. */
  treesOf(roots: readonly ProcessStat[]): ProcessStat[]
}

/** Scans all processes that this user may see. */
export function scanForWorkers(): MachineSnapshot {
  // Without this process, which has the mark of a worker when that worker started it.
  const others = platform.allProcesses((pid) => pid === process.pid)
  const processes = new Map(others.map((stat) => [stat.pid, stat]))
  const workers = new Map<string, MarkedWorker>()
  const markOf = new Map<number, string>()
  const childrenOf = new Map<number, ProcessStat[]>()
  const markedProcesses: { stat: ProcessStat; worker: MarkedWorker; scope: number }[] = []
  const workerOf = (workerMark: string, name: WorkerName): MarkedWorker => {
    const worker = workers.get(workerMark) ?? { name, keepers: [], marked: new Map() }
    workers.set(workerMark, worker)
    return worker
  }

  for (const stat of processes.values()) {
    addTo(childrenOf, stat.parent, stat)
    if (!stat.alive) continue
    const keptWorkerMark = workerMarkOfKeeper(stat)
    const keptName = keptWorkerMark === undefined ? undefined : workerIn(keptWorkerMark)
    if (keptWorkerMark !== undefined && keptName !== undefined) {
      markOf.set(stat.pid, keptWorkerMark)
      workerOf(keptWorkerMark, keptName).keepers.push(stat)
      continue
    }
    const mark = platform.environmentOf(stat.pid, markName) ?? ''
    const [workerMark, name] = [workerMarkIn(mark), workerIn(mark)]
    if (workerMark === undefined || name === undefined) continue
    markOf.set(stat.pid, mark)
    markedProcesses.push({
      stat,
      worker: workerOf(workerMark, name),
      scope: Number(mark.slice(workerMark.length + 1))
    })
  }

  const tree = new ProcessTree(others)
  const ancestors = new Set<number>()
  const keepers = [...workers.values()].flatMap((worker) => worker.keepers)
  for (const from of [processes.get(process.ppid), ...keepers]) {
    if (from !== undefined) for (const { pid } of tree.lineage(from)) ancestors.add(pid)
  }
  // The nearest unmarked ancestor of each process, cached: a chain of processes may be thousands long.
  const unmarkedAncestor = new Map<number, ProcessStat | undefined>()
  for (const { stat, worker, scope } of markedProcesses) {
    const line: number[] = []
    let unmarked: ProcessStat | undefined
    for (const at of tree.lineage(stat)) {
      unmarked = markOf.has(at.pid) ? unmarkedAncestor.get(at.pid) : at
      if (unmarked !== undefined || unmarkedAncestor.has(at.pid)) break
      line.push(at.pid)
    }
    for (const pid of line) unmarkedAncestor.set(pid, unmarked)
    if (unmarked === undefined || mayBeParent(unmarked, worker.name, ancestors))
      addTo(worker.marked, scope, stat)
  }

  const treesOf = (roots: readonly ProcessStat[]): ProcessStat[] => {
    const found = new Set(roots)
    // The loop also visits what is added to the set during the loop.
    for (const stat of found) {
      for (const child of childrenOf.get(stat.pid) ?? []) if (!markOf.has(child.pid)) found.add(child)
    }
    return [...found]
  }
  return { processes, workers, treesOf }
}

/**
 * Whether a process without a mark may be the parent of a process of this worker: it is the worker itself, or
 * it may adopt orphans. These are the first process of a PID namespace, and any ancestor of a keeper or of
 * this process.
 */
function mayBeParent(
  { pid, startTick }: ProcessStat,
  worker: WorkerName,
  ancestors: ReadonlySet<number>
): boolean {
  return startTick === worker.startTick || ancestors.has(pid) || platform.pidsInNamespaces(pid).at(-1) === 1
}

/** The mark of the worker that this keeper belongs to. A child that inherited the variable is no keeper. */
function workerMarkOfKeeper({ pid, parent }: ProcessStat): string | undefined {
  const workerMark = platform.environmentOf(pid, keeperMarkName)
  if (workerMark === undefined || platform.environmentOf(parent, keeperMarkName) === workerMark)
    return undefined
  return workerMark
}

function addTo(lists: Map<number, ProcessStat[]>, key: number, stat: ProcessStat): void {
  const list = lists.get(key)
  if (list === undefined) lists.set(key, [stat])
  else list.push(stat)
}
