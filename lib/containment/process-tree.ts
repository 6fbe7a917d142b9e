/** The process tree of one scan, by pid and by parent, and the walk through a tree. */

import type { ProcessStat } from '../platform/current.js'

export class ProcessTree {
  readonly processes: readonly ProcessStat[]
  readonly #byPid = new Map<number, ProcessStat>()
  readonly #byParent = new Map<number, ProcessStat[]>()

  constructor(processes: readonly ProcessStat[]) {
    this.processes = processes
    for (const stat of processes) {
      this.#byPid.set(stat.pid, stat)
      const siblings = this.#byParent.get(stat.parent)
      if (siblings === undefined) this.#byParent.set(stat.parent, [stat])
      else siblings.push(stat)
    }
  }

  find(pid: number): ProcessStat | undefined {
    return this.#byPid.get(pid)
  }

  childrenOf(stat: ProcessStat): ProcessStat[] {
    return (this.#byParent.get(stat.pid) ?? []).filter((child) => canBeParent(stat, child))
  }

  /** The process itself, its parent, and so on, as far as the scan has found them. */
  *lineage(stat: ProcessStat): Generator<ProcessStat> {
    yield stat
    let child = stat
    for (let at = this.#byPid.get(stat.parent); at !== undefined; at = this.#byPid.get(at.parent)) {
      if (!canBeParent(at, child)) return
      yield at
      child = at
    }
  }
}

/**
 * No process is older than its parent, nor than the process that adopted it as an orphan. If a child seems
 * older, the pid of the parent was reused during the scan.
 */
function canBeParent(parent: ProcessStat, child: ProcessStat): boolean {
  return parent.pid !== child.pid && parent.startTick <= child.startTick
}

/**
 * Visits a process and its descendants, parents before their children. `visit` returns the children to go on
 * with. Without recursion, since a chain of processes may be longer than the stack is deep.
 */
export function visitTree<Node>(root: Node, visit: (node: Node) => readonly Node[]): void {
  const waiting = [root]
  for (let node = waiting.pop(); node !== undefined; node = waiting.pop()) {
    const children = visit(node)
    for (let last = children.length - 1; last >= 0; last--) waiting.push(children[last] as Node)
  }
}
