/** Finds the cgroups of dead workers: what is alive in them is left over, whatever its environment says. */

import { basename } from 'node:path'
import { platform } from '../platform/current.js'
import {
  isInScopeCgroup,
  scopeOfCgroup,
  workerCgroupPrefix,
  workerMarkOfCgroup
} from '../wire/cgroup-names.js'
import { markOf, workerScope } from '../wire/mark.js'

interface WorkerCgroup {
  readonly folder: string
  readonly workerMark: string
}

export class LeftoverCgroups {
  /** The cgroups of all workers. They are looked up once: a dead worker makes no more. */
  #all: readonly WorkerCgroup[] | undefined
  #dead: readonly WorkerCgroup[] = []
  /** Those of the scopes of dead workers. */
  #scopeCgroups: readonly WorkerCgroup[] = []

  /**
   * The living processes in the cgroups of dead workers: the mark of the scope of each, by pid. Any of the pids
   * may be reused later: read the process, and then call `confirm`.
   */
  scan(isDead: (workerMark: string) => boolean): Map<number, string> {
    this.#all ??= allWorkerCgroups()
    this.#dead = this.#all.filter(({ workerMark }) => isDead(workerMark))
    this.#scopeCgroups = this.#dead.flatMap(({ folder, workerMark }) =>
      (platform.cgroups?.below(folder) ?? []).map((below) => ({ folder: below, workerMark }))
    )
    const marks = new Map<number, string>()
    for (const { workerMark, folder } of this.#scopeCgroups) {
      const scope = scopeOfCgroup(basename(folder)) ?? workerScope
      for (const pid of platform.cgroups?.pidsIn(folder) ?? []) marks.set(pid, markOf(workerMark, scope))
    }
    return marks
  }

  /** Whether the process that has this pid is in such a cgroup. */
  confirm(pid: number): boolean {
    const path = platform.cgroups?.pathOf(pid)
    return this.#scopeCgroups.some(({ folder }) => isInScopeCgroup(path, folder))
  }

  /** Lets the processes run: their keeper may have been lost while it had stopped them. */
  thaw(): void {
    for (const { folder } of this.#scopeCgroups) attempt(() => platform.cgroups?.thaw(folder))
  }

  /** Kills the processes, except in cgroups that have one of `spared`. Returns the pids. */
  kill(spared: ReadonlySet<number>): ReadonlySet<number> {
    const killed = new Set<number>()
    for (const { folder } of this.#scopeCgroups) {
      if (platform.cgroups?.pidsIn(folder).some((pid) => spared.has(pid))) continue
      attempt(() => {
        for (const pid of platform.cgroups?.kill(folder) ?? []) killed.add(pid)
      })
    }
    return killed
  }

  /** Removes those that no living process is in. */
  remove(): void {
    for (const { folder } of this.#dead) platform.cgroups?.remove(folder)
  }
}

function allWorkerCgroups(): WorkerCgroup[] {
  return (platform.cgroups?.find(workerCgroupPrefix) ?? []).flatMap((folder) => {
    const workerMark = workerMarkOfCgroup(basename(folder))
    return workerMark === undefined ? [] : { folder, workerMark }
  })
}

/** The cgroup may be gone, or hold this process. What it holds is ended one by one then. */
function attempt(act: () => void): void {
  try {
    act()
  } catch {}
}
