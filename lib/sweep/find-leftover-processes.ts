/** Finds leftover processes: those whose mark names a dead worker that has no living keeper either. */

import type { OrphanAdopter } from '../containment/find-orphan-adopter.js'
import { KnownProcesses } from '../containment/known-processes.js'
import { findMarkedProcesses, type MarkedProcesses } from '../containment/marked-processes.js'
import { type AncestorKind, originOf } from '../containment/process-origin.js'
import { ProcessTree, visitTree } from '../containment/process-tree.js'
import { isReleased, releasedPids } from '../containment/release-registry.js'
import { isAlive, isLocal } from '../containment/worker-liveness.js'
import { type ProcessStat, platform } from '../platform/current.js'
import { ownRealm, workerIn, workerMarkIn } from '../wire/mark.js'
import { LeftoverCgroups } from './leftover-cgroups.js'

/** A process that a dead worker has left. */
export interface LeftoverProcess {
  readonly stat: ProcessStat
  /** Its mark, or that of its nearest marked ancestor; undefined if only an earlier scan shows its origin. */
  readonly mark: string | undefined
}

export interface Leftovers {
  readonly processes: readonly LeftoverProcess[]
  /** Whether the origin of some process is not clear yet, so that a later scan may find more. */
  readonly isIncomplete: boolean
  /** The processes in the cgroups of dead workers that are none of them. */
  readonly spared: ReadonlySet<number>
}

/**
 * One scan for the leftovers of dead workers: each process whose mark names a dead worker of this boot and
 * PID namespace, or which is in the cgroup of such a worker, and its descendants, marked or not. `known` are
 * the processes that earlier scans have found: by these, their orphans are recognised.
 *
 * Spared are:
 * - a process with a living ancestor that does not carry the mark of a dead worker: a service starts programs
 *   with the environment of the process that requests it. (Process 1 and the process that adopts the orphans
 *   of `adopter`'s place do not count as ancestors.)
 * - a process that a living keeper of the dead worker will end itself
 * - a process whose worker has another realm (see `ownRealm`), or whose real or effective user is not that of
 *   this process, unless it is in the cgroup of its worker
 * - released processes: a released command with every process that carries its mark (see `recordRelease`), and
 *   a released process that was adopted, with its descendants that carry its mark or none
 * - every tree that is in use: the tree below the topmost leftover process, when this process, a living
 *   keeper, or a living worker that a keeper or a mark names is in it. A server that a worker started carries
 *   the mark of that worker after its death, and so may the programs between the two.
 *
 * Throws when no descriptor is available: nothing may be concluded then.
 */
export function findLeftoverProcesses(
  adopter: OrphanAdopter,
  known: KnownProcesses = new KnownProcesses(),
  cgroups: LeftoverCgroups = new LeftoverCgroups()
): Leftovers {
  const nothing = { processes: [], isIncomplete: false, spared: new Set<number>() }
  if (!platform.listsOwnPids()) return nothing
  const marked = findMarkedProcesses()
  const isDead = deadWorkersBut(new Set(marked.keepers.values()))
  const deadMarks = marksOfDeadWorkers(marked, isDead)
  const inCgroups = cgroups.scan(isDead)
  // The environments alone show that there are no leftovers: no other file of any process needs to be read.
  const isNothingKnown = known.seen.size === 0 && known.groups.size === 0
  if (deadMarks.size === 0 && inCgroups.size === 0 && isNothingKnown) return nothing

  const tree = new ProcessTree(platform.allProcesses())
  for (const pid of inCgroups.keys()) if (!cgroups.confirm(pid)) inCgroups.delete(pid)
  const deadMarkOf = ({ pid }: ProcessStat): string | undefined => {
    const mark = marked.marks.get(pid)
    return mark !== undefined && deadMarks.has(mark) ? mark : undefined
  }
  const isKnown = (stat: ProcessStat): boolean =>
    inCgroups.has(stat.pid) || known.hasSeen(stat) || known.wasBornInGroup(stat)
  const isLeftover = (stat: ProcessStat): boolean => deadMarkOf(stat) !== undefined || isKnown(stat)
  const classify = (ancestor: ProcessStat): AncestorKind => {
    if (isKnown(ancestor)) return 'ours'
    return deadMarkOf(ancestor) === undefined ? 'unmarked' : 'marked'
  }
  const spared = treesInUse(tree, marked, isLeftover)
  const released = new Set(releasedPids())
  const isReleasedTree = (stat: ProcessStat, mark: string | undefined): boolean =>
    released.size > 0 && isInReleasedTree(released, mark, stat, tree, marked)
  const found = new Map<number, LeftoverProcess>()
  const addTree = (root: ProcessStat): void => {
    visitTree<LeftoverProcess>({ stat: root, mark: inCgroups.get(root.pid) }, ({ stat, mark: inherited }) => {
      const { pid } = stat
      if (pid <= 1 || found.has(pid) || spared.has(pid) || !stat.alive) return []
      const ownMark = deadMarkOf(stat)
      // A process with the mark of another worker belongs to that worker, whatever its ancestors are.
      if (ownMark === undefined && workerMarkIn(marked.marks.get(pid) ?? '') !== undefined) return []
      if (!inCgroups.has(pid) && !hasOwnUser(pid)) return []
      if (isReleasedTree(stat, ownMark)) return []
      const mark = ownMark ?? inherited
      found.set(pid, { stat, mark })
      return tree.childrenOf(stat).map((child) => ({ stat: child, mark }))
    })
  }
  for (const stat of tree.processes) if (isKnown(stat)) addTree(stat)
  let isIncomplete = false
  for (const stat of tree.processes) {
    if (found.has(stat.pid) || spared.has(stat.pid) || !stat.alive || deadMarkOf(stat) === undefined) continue
    const origin = originOf(stat, tree, adopter, classify)
    if (origin === 'ours') addTree(stat)
    else if (origin === 'unclear') isIncomplete = true
  }
  const isSpared = (pid: number): boolean => !found.has(pid) && tree.find(pid)?.alive === true
  return {
    processes: [...found.values()],
    isIncomplete,
    spared: new Set([...inCgroups.keys()].filter(isSpared))
  }
}

/**
 * Tells by its mark whether a worker is dead, of this boot, PID namespace and realm, and has no living keeper.
 */
function deadWorkersBut(kept: ReadonlySet<string>): (workerMark: string) => boolean {
  const realm = ownRealm()
  const known = new Map<string, boolean>()
  const isDead = (workerMark: string): boolean => {
    const worker = workerIn(workerMark)
    if (worker === undefined || worker.realm !== realm) return false
    return isLocal(worker) && !kept.has(workerMark) && !isAlive(worker)
  }
  return (workerMark) => {
    if (!known.has(workerMark)) known.set(workerMark, isDead(workerMark))
    return known.get(workerMark) === true
  }
}

/** The marks of dead workers, without those that were released. */
function marksOfDeadWorkers(
  { marks }: MarkedProcesses,
  isDead: (workerMark: string) => boolean
): Set<string> {
  const deadMarks = new Set<string>()
  for (const mark of new Set(marks.values())) {
    const workerMark = workerMarkIn(mark)
    if (workerMark !== undefined && isDead(workerMark) && !isReleased(mark)) deadMarks.add(mark)
  }
  return deadMarks
}

/** Whether a process is released, or descends from a released process, and carries no other mark. */
function isInReleasedTree(
  releasedPids: ReadonlySet<number>,
  mark: string | undefined,
  stat: ProcessStat,
  tree: ProcessTree,
  { marks }: MarkedProcesses
): boolean {
  for (const { pid } of tree.lineage(stat)) {
    if (releasedPids.has(pid) && (mark === undefined || mark === marks.get(pid))) return true
  }
  return false
}

/** The pids of every tree that contains this process, a living keeper or a living worker. */
function treesInUse(
  tree: ProcessTree,
  marked: MarkedProcesses,
  isLeftover: (stat: ProcessStat) => boolean
): Set<number> {
  const inUse = new Set<number>()
  const addTree = (root: ProcessStat): void =>
    visitTree(root, (stat) => {
      if (inUse.has(stat.pid)) return []
      inUse.add(stat.pid)
      // The children of process 1 may be orphans of any process.
      return stat.pid === 1 ? [] : tree.childrenOf(stat)
    })
  for (const pid of [process.pid, ...marked.keepers.keys(), ...livingWorkers(marked)]) {
    const stat = tree.find(pid)
    if (stat === undefined) continue
    let top = stat
    for (const ancestor of tree.lineage(stat)) if (ancestor.pid !== 1 && isLeftover(ancestor)) top = ancestor
    addTree(top)
  }
  return inUse
}

/** The pids of the living workers that keepers and marks name. */
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

/** Whether real and effective user of a process are those of this process. */
function hasOwnUser(pid: number): boolean {
  const users = platform.usersOf(pid)
  return users?.real === process.getuid?.() && users?.effective === process.geteuid?.()
}
