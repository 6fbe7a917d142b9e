/** Opens the cgroups for the scopes of the worker, where the keeper can have some. */

import { ScopeCgroups } from '../containment/scope-cgroups.js'
import { type NativeCalls, platform } from '../platform/current.js'
import { workerCgroupName } from '../wire/cgroup-names.js'

/** The level that the keeper tries first. Without it, the best one that makes no start of a command slow. */
const containmentName = 'SUBPROCESS_GUARD_CONTAINMENT'

export interface ScopeCgroupsRequest {
  readonly workerMark: string
  readonly worker: number
  /** Undefined where processes are started by `child_process`. */
  readonly native: NativeCalls | undefined
}

/** Returns the reason if there are none. Throws if the variable has a value that it may not have. */
export function openScopeCgroups({ workerMark, worker, native }: ScopeCgroupsRequest): ScopeCgroups | string {
  const level = process.env[containmentName]
  if (level === 'subreaper') return `${containmentName} is "subreaper"`
  if (level !== undefined && level !== 'cgroup') {
    throw new Error(
      `${containmentName} is ${JSON.stringify(level)}: set it to cgroup or subreaper, or unset it`
    )
  }
  const { cgroups } = platform
  if (cgroups === undefined) return 'this system has no cgroups'
  try {
    const name = workerCgroupName(workerMark)
    const folder = cgroups.makeWorkerCgroup({ name, native, mayEnter: level === 'cgroup' })
    return new ScopeCgroups({ cgroups, folder, isKeeper: (pid) => isOtherKeeper(pid, worker) })
  } catch (error) {
    return (error as Error).message
  }
}

/** A keeper whose worker has changed its rights goes on with what it has started. */
function isOtherKeeper(pid: number, worker: number): boolean {
  const stat = pid === process.pid ? undefined : platform.statOf(pid)
  return stat?.alive === true && stat.parent === worker
}
