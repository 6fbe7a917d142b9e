/** The contract of a module of hooks: its exports, and what they are told about a worker. */

import type { ScopeProcess } from '../platform/current.js'
import type { UsageSummary } from './usage.js'

/** A scope that was open when its worker hung or ended. */
export interface WorkerScope {
  /** The `id` of the scope. */
  readonly id: string
  /** The route of its request, if it has one. */
  readonly route?: string
  /** How long the scope had been open, in ms. */
  readonly openMs: number
  /** Time left until the deadline, in ms; negative if it had passed. Absent if there is no deadline. */
  readonly deadlineInMs?: number
  /** What its processes have used up to now. */
  readonly usage: UsageSummary
  /** The processes of the scope, before any of them was ended. */
  readonly processes: readonly ScopeProcess[]
}

/** What is known about a worker that hangs or has ended. */
export interface WorkerInfo {
  /** Process id of the worker. Once the worker has ended, the pid may be reused. */
  readonly worker: number
  /** `hung`: the event loop is blocked. `gone`: the process has ended for any reason. */
  readonly why: 'hung' | 'gone'
  /** How long the event loop has sent no heartbeat, in ms. Only for a worker that hung. */
  readonly silentMs?: number
  /** The stack of the worker's JavaScript, formatted like the `stack` of an Error. Absent if unknown. */
  readonly stack?: string
  /** Why there is no `stack`. Only for a worker that hung. */
  readonly whyNoStack?: string
  /** The route of the request that blocks the worker. Absent if unknown. */
  readonly route?: string
  /** What the worker itself has used, with the children that it has waited for. Absent if it has ended, or if the system does not tell. */
  readonly usage?: UsageSummary
  /** The open scopes of the worker. */
  readonly scopes: readonly WorkerScope[]
  /** Processes that the worker has started outside any scope. */
  readonly unscoped: readonly ScopeProcess[]
}

/**
 * The exports of a module of hooks, of which at least one is required. Each call runs in a new process, with
 * the environment of the worker without `NODE_*`, the working directory `/`, a heap of 64 MB, and the
 * worker's standard output and error. A call that does not end in time is ended, by SIGKILL if necessary.
 * Processes that it has started have the same time, and are ended after it.
 */
export interface WorkerHooks {
  /** Called when the worker hangs, before it is ended. A returned promise is awaited. */
  workerAbort?(info: WorkerInfo): unknown
  /** Called when the worker has ended for any reason. A returned promise is awaited. */
  workerExit?(info: WorkerInfo): unknown
}
