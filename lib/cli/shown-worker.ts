/** What `subprocess-guard ps` shows: workers, their scopes and their processes. */

import type { Containment } from '../containment-level.js'
import type { ScopeProcess } from '../platform/current.js'
import type { UsageSummary } from '../wire/usage.js'

/** A scope, as `subprocess-guard ps --json` shows it. */
export interface ShownScope {
  /** Its number; 0 for what belongs to no request. */
  readonly scope: number
  /** `unknown` when no keeper has answered: then route, age and deadline are unknown, too. */
  readonly state: 'open' | 'closing' | 'unknown'
  /** As it was declared; null when there is none. */
  readonly route: string | null
  /** How long it has been open, in ms. */
  readonly openMs: number | null
  /** The time to its deadline, in ms, negative once that has passed; null without a deadline. */
  readonly deadlineInMs: number | null
  /** What its processes have used up to now; null when no keeper has answered. */
  readonly usage: UsageSummary | null
  /** Its living processes. A parent comes before its children. */
  readonly processes: readonly ScopeProcess[]
}

/** A worker, as `subprocess-guard ps --json` shows it. */
export interface ShownWorker {
  /** Its pid here; that in its mark when it is gone or elsewhere. */
  readonly worker: number
  /** `elsewhere`: in a PID namespace that cannot be seen from here, so that it may or may not be running. */
  readonly state: 'running' | 'gone' | 'elsewhere'
  /** Its command line; null when it is not running here. */
  readonly command: string | null
  /** Its resident memory, in bytes; null when it is not running here. */
  readonly memoryBytes: number | null
  /** The processor time that it has used itself, in ms; null when it is not running here. */
  readonly cpuMs: number | null
  /** Pid of its keeper; null without one. */
  readonly keeper: number | null
  /** How its processes are found; null when its keeper has not answered. */
  readonly containment: Containment | null
  /** Why the information is incomplete; null when it is not. */
  readonly note: string | null
  readonly scopes: readonly ShownScope[]
  /** Processes with its mark that are in no open scope: started outside requests, released, or survivors. */
  readonly unscoped: readonly ScopeProcess[]
}
