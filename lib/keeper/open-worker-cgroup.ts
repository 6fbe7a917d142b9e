/** Opens the cgroup of the worker, in which its scopes have theirs, where the keeper can have one. */

import { type NativeCalls, platform } from '../platform/current.js'
import { workerCgroupName } from '../wire/cgroup-names.js'

/** The level that the keeper tries first. Without it, the best one that makes no start of a command slow. */
const containmentName = 'SUBPROCESS_GUARD_CONTAINMENT'

export interface WorkerCgroup {
  /** Its directory. Undefined if the keeper can have none. */
  readonly folder?: string
  /** Why there is none. */
  readonly why?: string
}

/**
 * `native` is undefined where processes are started by `child_process`. Throws if the variable has a value that
 * it may not have.
 */
export function openWorkerCgroup(workerMark: string, native: NativeCalls | undefined): WorkerCgroup {
  const level = process.env[containmentName]
  if (level === 'subreaper') return { why: `${containmentName} is "subreaper"` }
  if (level !== undefined && level !== 'cgroup') {
    throw new Error(
      `${containmentName} is ${JSON.stringify(level)}: set it to cgroup or subreaper, or unset it`
    )
  }
  try {
    const name = workerCgroupName(workerMark)
    const folder = platform.cgroups?.makeWorkerCgroup({ name, native, mayEnter: level === 'cgroup' })
    return folder === undefined ? { why: 'this system has no cgroups' } : { folder }
  } catch (error) {
    return { why: (error as Error).message }
  }
}
