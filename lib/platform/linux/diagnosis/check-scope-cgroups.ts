/** Checks whether a keeper can have a cgroup for each scope, by a trial. */

import type { Finding, NativeCalls } from '../../platform.js'
import { remove } from '../cgroup/cgroup-folder.js'
import { makeWorkerCgroup } from '../cgroup/worker-cgroup.js'

export interface ScopeCgroupsCheck {
  readonly finding: Finding
  readonly isPossible: boolean
}

/** `native` is undefined where a keeper starts processes by `child_process`. */
export function checkScopeCgroups(native: NativeCalls | undefined): ScopeCgroupsCheck {
  const name = 'scope cgroups'
  try {
    remove(makeWorkerCgroup(`subprocess-guard.doctor-${process.pid}`, native))
    const says = 'Each scope gets a cgroup, which no process leaves.'
    return { finding: { name, severity: 'ok', says }, isPossible: true }
  } catch (error) {
    const says = `Scopes get no cgroups: ${(error as Error).message}.`
    return { finding: { name, severity: 'ok', says }, isPossible: false }
  }
}
