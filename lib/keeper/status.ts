/** What a keeper tells of its worker to whoever may enter its folder: `subprocess-guard ps` asks for it. */

import type { ScopeProcess } from '../platform/linux.js'
import type { Containment } from './protocol.js'
import { headerBytes } from './protocol.js'

/** What a connection sends in place of a stdio header to be told the status: one line of JSON, and the end. */
export const statusHeader = 'status'.padEnd(headerBytes, ' ')

/** One scope, as its keeper knows it. */
export interface ScopeStatus {
  /** Its number at the keeper; the last part of its mark. */
  readonly scope: number
  /** As it was declared; undefined outside requests and for routes that are not known. */
  readonly route?: string
  readonly state: 'open' | 'closing'
  /** How long it has been open, in ms. */
  readonly openMs: number
  /** How long it is to its deadline, in ms, below 0 when that has passed; undefined without one. */
  readonly deadlineInMs?: number
  /** Its processes that are alive. */
  readonly processes: readonly ScopeProcess[]
}

/** A worker, its keeper, and the scopes that are not closed. */
export interface WorkerStatus {
  readonly worker: number
  readonly keeper: number
  readonly containment: Containment
  readonly scopes: readonly ScopeStatus[]
}
