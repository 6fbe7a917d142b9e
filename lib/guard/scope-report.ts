/** The report on a closed scope: `close()` and `closed` resolve with it. */

import type { CloseReason } from '../close-reason.js'
import type { ExceededLimit } from '../scope-limits.js'
import type { EndedProcess, LeftFolder } from '../wire/messages.js'
import type { UsageSummary } from '../wire/usage.js'

/** What happened to a scope: why it closed, and how each of its processes ended. */
export interface ScopeReport {
  /** The `id` of the scope. */
  readonly scope: string
  /** Method and path of the route as it was declared; undefined outside of requests. */
  readonly route: string | undefined
  readonly reason: CloseReason
  /** How long the scope was open, in ms. */
  readonly openMs: number
  /** How long it took to end every process and run every deferred function, in ms. */
  readonly closeMs: number
  /** The processes that were alive when the scope started to close, and how each ended. */
  readonly processes: readonly EndedProcess[]
  /** The processes among them that could not be ended. */
  readonly survivors: readonly EndedProcess[]
  /**
   * What the processes of the scope have used, as far as it is known: what a lost keeper had counted is not. Of
   * processes that the scope adopted or that the worker started itself, only what was seen in looks at them, about
   * once per second.
   */
  readonly usage: UsageSummary
  /** The limit that was exceeded. Only with the reason `limit`. */
  readonly exceeded?: ExceededLimit | undefined
  /** Directories of the scope (`tempDir()`, `privateTmp`) that could not be removed, and why. */
  readonly leftFolders: readonly LeftFolder[]
}
