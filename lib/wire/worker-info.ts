/** What the hooks of a worker are told of it, and what they are: the contract of a user's module. */

import type { ScopeProcess } from '../platform/current.js'

/** A scope that was open when its worker hung or ended. */
export interface WorkerScope {
  /** The `id` of the scope. */
  readonly id: string
  /** The route of its request, when there is one. */
  readonly route?: string
  /** For how long it had been open, in ms. */
  readonly openMs: number
  /** The time to its deadline, in ms: negative when that had passed. Absent when it has none. */
  readonly deadlineInMs?: number
  /** What ran in it, before any of it was ended. */
  readonly processes: readonly ScopeProcess[]
}

/** What is known of a worker that hangs or has ended. */
export interface WorkerInfo {
  /** Process id of the worker. After its end the number may be anybody's. */
  readonly worker: number
  /** Its event loop is blocked (`hung`), or its process has ended, however that came (`gone`). */
  readonly why: 'hung' | 'gone'
  /** For how long nothing was heard of its event loop, in ms; when it hung. */
  readonly silentMs?: number
  /** Where its JavaScript was, as the `stack` of an error tells it; when that is known. */
  readonly stack?: string
  /** Why there is no `stack` of a worker that hung. */
  readonly whyNoStack?: string
  /** The route of the request that blocked it, when that is known. */
  readonly route?: string
  /** Its open scopes. */
  readonly scopes: readonly WorkerScope[]
  /** What the worker had started itself, outside any scope. */
  readonly unscoped: readonly ScopeProcess[]
}

/**
 * The exports of a module of hooks; at least one must be there. Each call is made in a fresh process with the
 * environment of the worker without `NODE_*`, the folder `/`, 64 MB of heap, and the worker's standard output
 * and error. It ends, by SIGKILL if need be, when the call did not end in time. What it has started is waited for
 * within that time, and ended after it.
 */
export interface WorkerHooks {
  /** Called when the worker hangs, before it is ended. A promise is waited for. */
  workerAbort?(info: WorkerInfo): unknown
  /** Called when the worker has ended, however that came. A promise is waited for. */
  workerExit?(info: WorkerInfo): unknown
}
