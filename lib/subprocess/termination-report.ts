/** What `terminate()` found and ended: the process tree of one command. */

import type { EndedProcess } from '../wire/messages.js'

/** How one command ended, with every process that it had started. */
export interface TerminationReport {
  /** The processes that were alive at the call, and how each ended. */
  readonly processes: readonly EndedProcess[]
  /** Those that could not be ended. They stay in the scope, and its report names them again. */
  readonly survivors: readonly EndedProcess[]
}

export function terminationReport(processes: readonly EndedProcess[]): TerminationReport {
  return { processes, survivors: processes.filter(({ ended }) => ended === 'survived') }
}
