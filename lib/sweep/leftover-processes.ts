/** Finds what dead workers have left: processes whose mark names a worker that nobody looks after any more. */

import { KnownProcesses } from '../containment/known-processes.js'
import { findMarkedProcesses, type MarkedProcesses } from '../containment/marked-processes.js'
import type { OrphanAdopter } from '../containment/orphan-adopter.js'
import { type AncestorKind, originOf } from '../containment/process-origin.js'
import { ProcessTree, visitTree } from '../containment/process-tree.js'
import { isReleased, releasedPids } from '../containment/release-registry.js'
import { isAlive, isLocal } from '../containment/worker-liveness.js'
import { allProcesses, isOwnProc, type ProcessStat, usersOf } from '../platform/current.js'
import { ownRealm, workerIn, workerMarkIn } from '../wire/mark.js'

/** One process that a dead worker has left. */
export interface LeftProcess {
  readonly stat: ProcessStat
  /** Its mark, or that of the process it descends from; undefined where only an earlier look tells of it. */
  readonly mark: string | undefined
}

export interface Left {
  readonly processes: readonly LeftProcess[]
  /** Whether a later look may find more. */
  readonly isUnclear: boolean
}

/**
 * One look for what dead workers have left: each process whose mark names a worker of this boot and PID namespace that
 * is dead, and what descends from such a process with or without a mark. `known` are processes that earlier looks have
 * found, by which their orphans are told.
 *
 * Spared is:
 * - what has a living ancestor that carries no mark of a dead worker, but for process 1 and the one that takes in the
 *   orphans of `adopter`'s place: a service starts programs with the environment of whoever asks it to;
 * - what a living keeper of the dead worker is about to end itself;
 * - what has another real or effective user than this process, or a worker of another realm (see `ownRealm`);
 * - what was released: a command with all that carries the same mark (see `noteRelease`), a process that was taken in with
 *   what descends from it and carries its mark or none;
 * - every tree in which somebody serves: from the topmost process that a dead worker has left down, when this
 *   process, any living keeper, or a living worker that a keeper or a mark tells of is in it. A server that was
 *   started by one that is dead carries the mark of that one, and so may the programs between the two.
 *
 * Throws when no descriptor is to be had: nothing may be concluded then.
 */
export function findLeft(adopter: OrphanAdopter, known: KnownProcesses = new KnownProcesses()): Left {
  const nothing = { processes: [], isUnclear: false }
  if (!isOwnProc()) return nothing
  const marked = findMarkedProcesses()
  const leftMarks = leftMarksOf(marked)
  // Environments tell that there is nothing: then no process need be looked at otherwise.
  if (leftMarks.size === 0 && known.seen.size === 0 && known.groups.size === 0) return nothing

  const tree = new ProcessTree(allProcesses())
  const leftMarkOf = ({ pid }: ProcessStat): string | undefined => {
    const mark = marked.marks.get(pid)
    return mark !== undefined && leftMarks.has(mark) ? mark : undefined
  }
  const isKnown = (stat: ProcessStat): boolean => known.hasSeen(stat) || known.wasBornInGroup(stat)
  const isLeft = (stat: ProcessStat): boolean => leftMarkOf(stat) !== undefined || isKnown(stat)
  const verdictOn = (ancestor: ProcessStat): AncestorKind => {
    if (isKnown(ancestor)) return 'ours'
    return leftMarkOf(ancestor) === undefined ? 'unmarked' : 'marked'
  }
  const spared = treesInUse(tree, marked, isLeft)
  const released = new Set(releasedPids())
  const isLetGo = (stat: ProcessStat, mark: string | undefined): boolean =>
    released.size > 0 && isBelow(released, mark, stat, tree, marked)
  const found = new Map<number, LeftProcess>()
  const add = (root: ProcessStat): void => {
    visitTree<LeftProcess>({ stat: root, mark: undefined }, ({ stat, mark: inherited }) => {
      const { pid } = stat
      if (pid <= 1 || found.has(pid) || spared.has(pid) || !stat.alive) return []
      const ownMark = leftMarkOf(stat)
      // What carries the mark of somebody else is none of the dead worker's, wherever it descends from.
      if (ownMark === undefined && workerMarkIn(marked.marks.get(pid) ?? '') !== undefined) return []
      if (!isOurs(pid) || isLetGo(stat, ownMark)) return []
      const mark = ownMark ?? inherited
      found.set(pid, { stat, mark })
      return tree.childrenOf(stat).map((child) => ({ stat: child, mark }))
    })
  }
  for (const stat of tree.processes) if (isKnown(stat)) add(stat)
  let isUnclear = false
  for (const stat of tree.processes) {
    if (found.has(stat.pid) || spared.has(stat.pid) || !stat.alive || leftMarkOf(stat) === undefined) continue
    const origin = originOf(stat, tree, adopter, verdictOn)
    if (origin === 'ours') add(stat)
    else if (origin === 'unclear') isUnclear = true
  }
  return { processes: [...found.values()], isUnclear }
}

/** Those of the marks whose processes have nobody any more. */
function leftMarksOf({ marks, keepers }: MarkedProcesses): Set<string> {
  const kept = new Set(keepers.values())
  const realm = ownRealm()
  const areLeft = new Map<string, boolean>()
  const isWorkerLeft = (workerMark: string): boolean => {
    const worker = workerIn(workerMark)
    if (worker === undefined || worker.realm !== realm) return false
    return isLocal(worker) && !kept.has(workerMark) && !isAlive(worker)
  }
  const leftMarks = new Set<string>()
  for (const mark of new Set(marks.values())) {
    const workerMark = workerMarkIn(mark)
    if (workerMark === undefined) continue
    if (!areLeft.has(workerMark)) areLeft.set(workerMark, isWorkerLeft(workerMark))
    if (areLeft.get(workerMark) && !isReleased(mark)) leftMarks.add(mark)
  }
  return leftMarks
}

/** Whether it descends from one of the released, or is one, and carries no other mark. */
function isBelow(
  released: ReadonlySet<number>,
  mark: string | undefined,
  stat: ProcessStat,
  tree: ProcessTree,
  { marks }: MarkedProcesses
): boolean {
  for (const { pid } of tree.lineage(stat)) {
    if (released.has(pid) && (mark === undefined || mark === marks.get(pid))) return true
  }
  return false
}

/** Every process of a tree in which somebody serves. */
function treesInUse(
  tree: ProcessTree,
  marked: MarkedProcesses,
  isLeft: (stat: ProcessStat) => boolean
): Set<number> {
  const inUse = new Set<number>()
  const spare = (root: ProcessStat): void =>
    visitTree(root, (stat) => {
      if (inUse.has(stat.pid)) return []
      inUse.add(stat.pid)
      // To process 1 come the orphans of everybody.
      return stat.pid === 1 ? [] : tree.childrenOf(stat)
    })
  for (const pid of [process.pid, ...marked.keepers.keys(), ...livingWorkers(marked)]) {
    const stat = tree.find(pid)
    if (stat === undefined) continue
    let top = stat
    for (const above of tree.lineage(stat)) if (above.pid !== 1 && isLeft(above)) top = above
    spare(top)
  }
  return inUse
}

/** The workers that live, as keepers and marks tell of them. */
function livingWorkers({ marks, keepers, untrusted }: MarkedProcesses): Set<number> {
  const workerMarks = new Set(keepers.values())
  for (const [pid, mark] of marks) if (!untrusted.has(pid)) workerMarks.add(workerMarkIn(mark) ?? '')
  const living = new Set<number>()
  for (const workerMark of workerMarks) {
    const worker = workerIn(workerMark)
    if (worker !== undefined && isLocal(worker) && isAlive(worker)) living.add(worker.pid)
  }
  return living
}

/** Whether a process has this user's rights and no other ones. */
function isOurs(pid: number): boolean {
  const users = usersOf(pid)
  return users?.real === process.getuid?.() && users?.effective === process.geteuid?.()
}
