/** What became of a scope: what `close()` and `closed` resolve with. */

import type { CloseReason } from '../close-reason.js'
import type { EndedProcess, LeftFolder } from '../wire/messages.js'

/** What became of a scope. */
export interface ScopeReport {
  readonly scope: string
  readonly route: string | undefined
  readonly reason: CloseReason
  /** How long the scope was open, in ms. */
  readonly openMs: number
  /** How long it took from then until every process was proven gone, in ms. */
  readonly closeMs: number
  /** The processes that were alive when the scope closed, and how each ended. */
  readonly processes: readonly EndedProcess[]
  /** Those of them that could not be ended. */
  readonly survivors: readonly EndedProcess[]
  /** Folders of `tempDir()` that could not be removed, and why. */
  readonly leftFolders: readonly LeftFolder[]
}
