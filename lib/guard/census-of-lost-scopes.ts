/** The census by which the worker itself finds the processes of scopes whose keeper is lost. */

import type { Census } from '../containment/census.js'
import { CgroupCensus } from '../containment/cgroup-census.js'
import { OrphanAdopter } from '../containment/find-orphan-adopter.js'
import { IncrementalCensus } from '../containment/incremental-census.js'
import { ScopeCgroups } from '../containment/scope-cgroups.js'
import { platform } from '../platform/current.js'
import { captureIn } from '../subprocess/capture.js'

// Shared by all lost scopes, so that one scan serves them all.
let shared: Census | undefined

export function censusOfLostScopes(): Census {
  shared ??= create()
  return shared
}

function create(): Census {
  const census = new IncrementalCensus({
    isWorker: (pid) => pid === process.pid,
    adopter: new OrphanAdopter({
      pid: process.pid,
      findAdopter: () => captureIn(undefined, platform.findOrphanAdopter)
    })
  })
  const { cgroups } = platform
  return cgroups === undefined ? census : new CgroupCensus(census, new ScopeCgroups(cgroups))
}
