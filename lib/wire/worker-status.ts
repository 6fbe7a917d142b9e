/** The status of a worker, as its keeper reports it to `subprocess-guard ps`. */

import type { Containment } from '../containment-level.js'
import type { WorkerScope } from './worker-info.js'

/** One scope, as its keeper knows it. */
export interface ScopeStatus extends WorkerScope {
  /** The number of the scope: the last part of its mark. */
  readonly scope: number
  readonly state: 'open' | 'closing'
}

/** A worker, its keeper, and the scopes that are not closed. */
export interface WorkerStatus {
  /** Pid of the worker. */
  readonly worker: number
  /** Pid of the keeper. */
  readonly keeper: number
  readonly containment: Containment
  readonly scopes: readonly ScopeStatus[]
}
