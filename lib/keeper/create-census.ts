/** Creates the census, which finds the processes of each scope, for the containment level of the keeper. */

import type { Census } from '../containment/census.js'
import { CgroupCensus } from '../containment/cgroup-census.js'
import { ContainerCensus } from '../containment/container-census.js'
import type { OrphanAdopter } from '../containment/find-orphan-adopter.js'
import { HybridCensus } from '../containment/hybrid-census.js'
import { MarksCensus, type MarksCensusParts } from '../containment/marks-census.js'
import type { ScopeCgroups } from '../containment/scope-cgroups.js'
import { SubreaperCensus } from '../containment/subreaper-census.js'
import { TreeKillCensus } from '../containment/tree-kill-census.js'
import type { UnscopedRecord } from '../containment/unscoped-record.js'
import { type Containers, type NativeCalls, platform } from '../platform/current.js'

export interface CensusParts {
  readonly native: NativeCalls | undefined
  readonly isSubreaper: boolean
  /** The cgroups of the scopes. Undefined on a system without cgroups. */
  readonly cgroups: ScopeCgroups | undefined
  /** Undefined on a system without them. */
  readonly containers: Containers | undefined
  /** Whether this is the pid of the living worker. */
  readonly isWorker: (pid: number) => boolean
  /** The process that adopts the orphans of the worker. */
  readonly adopter: OrphanAdopter
  readonly unscopedRecord: UnscopedRecord
  /** Called when there are processes that no open scope can have started. */
  readonly onStrays: () => void
}

export function createCensus(parts: CensusParts): Census {
  const { containers, cgroups } = parts
  if (containers !== undefined) return new ContainerCensus(containers)
  const census = createCensusByDescent(parts)
  return cgroups === undefined ? census : new CgroupCensus(census, cgroups)
}

function createCensusByDescent(parts: CensusParts): Census {
  const { native, isSubreaper, cgroups, isWorker, adopter, unscopedRecord, onStrays } = parts
  if (!platform.listsProcesses) return new TreeKillCensus()
  const scanParts: MarksCensusParts = { isWorker, adopter, fallback: unscopedRecord }
  if (native === undefined || !isSubreaper) return new MarksCensus(scanParts)
  const subreaper = new SubreaperCensus({
    native,
    strays: unscopedRecord,
    releasedMarks: unscopedRecord.releasedMarks,
    onStrays,
    scopeOf: cgroups === undefined ? undefined : (pid) => cgroups.scopeOf(pid)
  })
  return new HybridCensus(subreaper, scanParts)
}
