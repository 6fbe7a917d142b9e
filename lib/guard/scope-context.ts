/** What a scope is opened with: its settings, its deadline and its keepers. */

import type { CutReason } from '../close-reason.js'
import type { ResolvedLimits } from '../limit-options.js'
import type { KeeperLink } from '../link/keeper-link.js'
import type { Logger } from '../log.js'
import type { FirstSignalTo } from '../options.js'
import type { ResolvedPolicy } from '../policy-options.js'
import type { ResolvedPriority } from '../priority-options.js'
import type { ScopePlaces } from './scope-places.js'

export interface ScopeContext {
  readonly graceMs: number
  readonly killSignal: NodeJS.Signals
  readonly firstSignalTo: FirstSignalTo
  readonly log: Logger
  /** The route as it was declared, for the log. */
  readonly route: string | undefined
  /** Which process starts commands that either could start. */
  readonly launch: 'keeper' | 'direct'
  /** Whether no command may get rights that the worker does not have. */
  readonly noNewPrivileges: boolean
  /** Whether commands get a private directory for temporary files, which is removed with the scope. */
  readonly privateTmp: boolean
  /** Which commands may be started; undefined if all may. */
  readonly policy: ResolvedPolicy | undefined
  /** Undefined if any number of commands may run at once. */
  readonly places: ScopePlaces | undefined
  readonly priority: ResolvedPriority
  readonly limits: ResolvedLimits
  readonly deadline: ScopeDeadline
}

/** The deadline of a scope. */
export interface ScopeDeadline {
  /** In ms, by the clock of `performance.now()`; `Infinity` for no deadline. */
  readonly deadlineAt: number
  /** Postpones the deadline by this many ms. */
  extend(ms: number): void
  /** Closes the scope now if the deadline has passed. */
  expireIfDue(): void
  /** Answers the request before the scope closes. Absent outside of requests. */
  cutShort?(reason: CutReason): void
}

/** The keepers that a scope can use. Both methods throw `ERR_SUBPROCESS_KEEPER_LOST` if there is none. */
export interface KeeperSource {
  /** For a launch: before it sends one, the link checks itself whether the worker's rights have changed. */
  forLaunch(): KeeperLink
  /** The keeper with the worker's current rights (user, groups, capabilities). */
  withCurrentRights(): KeeperLink
}
