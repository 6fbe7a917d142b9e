/** The census by which the worker itself finds the processes of scopes whose keeper is lost. */

import type { Census } from '../containment/census.js'
import { CgroupCensus } from '../containment/cgroup-census.js'
import { OrphanAdopter } from '../containment/find-orphan-adopter.js'
import { IncrementalCensus } from '../containment/incremental-census.js'
import { ScopeCgroups } from '../containment/scope-cgroups.js'
import { platform } from '../platform/current.js'
import { captureIn } from '../subprocess/capture.js'

// Shared by all lost scopes, so that one scan serves them all.
let shared: IncrementalCensus | undefined

/** `cgroup` is that of the worker. Undefined if the lost keeper had none. */
export function censusOfLostScopes(cgroup: string | undefined): Census {
  shared ??= new IncrementalCensus({
    isWorker: (pid) => pid === process.pid,
    adopter: new OrphanAdopter({
      pid: process.pid,
      findAdopter: () => captureIn(undefined, platform.findOrphanAdopter)
    })
  })
  const { cgroups } = platform
  if (cgroup === undefined || cgroups === undefined) return shared
  return new CgroupCensus(shared, new ScopeCgroups({ cgroups, folder: cgroup, isKeeper }))
}

/** Another keeper of this worker may have commands of the same scope. */
function isKeeper(pid: number): boolean {
  const stat = platform.statOf(pid)
  return stat?.alive === true && stat.parent === process.pid
}
