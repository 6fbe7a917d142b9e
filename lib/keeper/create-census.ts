/** Creates the census, which finds the processes of each scope, for the containment level of the keeper. */

import type { Census } from '../containment/census.js'
import { HybridCensus } from '../containment/hybrid-census.js'
import { MarksCensus, type MarksCensusParts } from '../containment/marks-census.js'
import type { OrphanAdopter } from '../containment/orphan-adopter.js'
import { SubreaperCensus } from '../containment/subreaper-census.js'
import type { WorkerRecord } from '../containment/worker-record.js'
import type { NativeCalls } from '../platform/current.js'

export interface CensusParts {
  readonly native: NativeCalls | undefined
  readonly isSubreaper: boolean
  /** Whether this is the pid of the living worker. */
  readonly isWorker: (pid: number) => boolean
  /** The process that adopts the orphans of the worker. */
  readonly adopter: OrphanAdopter
  readonly workerRecord: WorkerRecord
  /** Called when there are processes that no open scope can have started. */
  readonly onStrays: () => void
}

export function createCensus(parts: CensusParts): Census {
  const { native, isSubreaper, isWorker, adopter, workerRecord, onStrays } = parts
  const scanParts: MarksCensusParts = { isWorker, adopter, fallback: workerRecord }
  if (native === undefined || !isSubreaper) return new MarksCensus(scanParts)
  const subreaper = new SubreaperCensus(native, workerRecord, workerRecord.releasedMarks, onStrays)
  return new HybridCensus(subreaper, scanParts)
}
