/** A snapshot of all processes of the machine: their tree, their marks, and which of them were released. */

import { type ProcessStat, platform } from '../platform/current.js'
import { markName } from '../wire/mark.js'
import type { KnownProcesses } from './known-processes.js'
import { ProcessTree, visitTree } from './process-tree.js'
import type { ScopeRecord } from './scope-record.js'

export interface ProcessSnapshot {
  readonly tree: ProcessTree
  /** The mark of each process that may belong to a scope, by pid. */
  readonly marks: ReadonlyMap<number, string>
  /** The pids of the released processes and their descendants. */
  readonly released: ReadonlySet<number>
}

/**
 * Takes a snapshot in short steps. `released` are the processes that were released so
 * far: their descendants are added to it. Processes for which `isElsewhere` is true are left out.
 */
export function* takeSnapshot(
  pids: Iterable<number>,
  scopes: Iterable<ScopeRecord>,
  released: KnownProcesses,
  isElsewhere: ((pid: number) => boolean) | undefined
): Generator<void, ProcessSnapshot> {
  const processes: ProcessStat[] = []
  for (const pid of pids) {
    if (pid === process.pid || isElsewhere?.(pid)) continue
    const stat = platform.statOf(pid)
    if (stat !== undefined) processes.push(stat)
    yield
  }
  const marks = new Map<number, string>()
  // A process older than every scope has none of their marks. Environments take most of the time.
  let firstMarkedTick = Number.POSITIVE_INFINITY
  for (const scope of scopes) firstMarkedTick = Math.min(firstMarkedTick, scope.firstMarkedTick)
  for (const stat of processes) {
    const mark = stat.startTick < firstMarkedTick ? undefined : platform.environmentOf(stat.pid, markName)
    if (mark !== undefined) marks.set(stat.pid, mark)
    yield
  }
  const tree = new ProcessTree(processes)
  return { tree, marks, released: releasedIn(tree, released) }
}

function releasedIn(tree: ProcessTree, known: KnownProcesses): Set<number> {
  const released = new Set<number>()
  if (known.seen.size + known.groups.size === 0) return released
  const add = (root: ProcessStat): void =>
    visitTree(root, (stat) => {
      if (released.has(stat.pid)) return []
      released.add(stat.pid)
      known.remember(stat)
      return tree.childrenOf(stat)
    })
  for (const stat of tree.processes) if (known.hasSeen(stat)) add(stat)
  for (const stat of tree.processes) if (known.wasBornInGroup(stat)) add(stat)
  return released
}
