/** What a keeper tells of its worker to whoever may enter its folder: `subprocess-guard ps` asks for it. */

import type { Containment } from './messages.js'
import { headerBytes } from './messages.js'
import type { WorkerScope } from './worker-info.js'

/** What a connection sends in place of a stdio header to be told the status: one line of JSON, and the end. */
export const statusHeader = 'status'.padEnd(headerBytes, ' ')

/** One scope, as its keeper knows it. */
export interface ScopeStatus extends WorkerScope {
  /** Its number at the keeper; the last part of its mark. */
  readonly scope: number
  readonly state: 'open' | 'closing'
}

/** A worker, its keeper, and the scopes that are not closed. */
export interface WorkerStatus {
  readonly worker: number
  readonly keeper: number
  readonly containment: Containment
  readonly scopes: readonly ScopeStatus[]
}
