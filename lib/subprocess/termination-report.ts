/** The result of `terminate()`: what happened to the process tree of one command. */

import type { EndedProcess } from '../wire/messages.js'

/** How the process tree of one command ended. */
export interface TerminationReport {
  /** The processes that were alive at the time of the call, and how each of them ended. */
  readonly processes: readonly EndedProcess[]
  /** The processes that could not be ended. They stay in the scope, and its report names them again. */
  readonly survivors: readonly EndedProcess[]
}

export function terminationReport(processes: readonly EndedProcess[]): TerminationReport {
  return { processes, survivors: processes.filter(({ ended }) => ended === 'survived') }
}
