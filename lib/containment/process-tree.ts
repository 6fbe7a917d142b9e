/** All processes of one look, by number and by parent. */

import type { ProcessStat } from '../platform/linux.js'

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
  *lineOf(stat: ProcessStat): Generator<ProcessStat> {
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
