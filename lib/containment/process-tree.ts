/** All processes of one look, by number and by parent, and the walk through a tree of them. */

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
    return (this.#byParent.get(stat.pid) ?? []).filter((child) => isOlder(stat, child))
  }

  /** The process itself, its parent, and so on, as far as the look has shown them. */
  *lineage(stat: ProcessStat): Generator<ProcessStat> {
    yield stat
    let child = stat
    for (let at = this.#byPid.get(stat.parent); at !== undefined; at = this.#byPid.get(at.parent)) {
      if (!isOlder(at, child)) return
      yield at
      child = at
    }
  }
}

/**
 * No process is older than its parent, not even than the one that took it in. Who seems so got its number while the look
 * was taken.
 */
function isOlder(parent: ProcessStat, child: ProcessStat): boolean {
  return parent.pid !== child.pid && parent.startTick <= child.startTick
}

/**
 * Visits a process and what descends from it, parents before their children. `visit` returns the children to go on with.
 * Without recursion: a chain of processes may be longer than the stack is deep.
 */
export function visitTree<Node>(root: Node, visit: (node: Node) => readonly Node[]): void {
  const waiting = [root]
  for (let node = waiting.pop(); node !== undefined; node = waiting.pop()) {
    const children = visit(node)
    for (let last = children.length - 1; last >= 0; last--) waiting.push(children[last] as Node)
  }
}
