/** Processes that come to a scope when it is closed: they are there, so they are ended. */

import type { KeeperLink } from '../link/keeper-link.js'
import type { Logger } from '../log.js'
import type { FirstSignalTo } from '../options.js'
import type { ProcessName } from '../wire/messages.js'
import { endLost } from './keeper-loss.js'
import { errorOfSurvivors } from './log-scope-end.js'

/** What is known of the scope, or of the request that never had one. */
export interface Late {
  readonly graceMs: number
  readonly killSignal: NodeJS.Signals
  readonly firstSignalTo: FirstSignalTo
  readonly log: Logger
  readonly route: string | undefined
}

/** Ends a process, with all that it has started, in a scope of its own, and says so. */
export async function endLate(link: KeeperLink, process: ProcessName, late: Late): Promise<void> {
  const { log, route, graceMs, killSignal, firstSignalTo } = late
  const opening = { id: 'late', route, graceMs, killSignal, firstSignalTo }
  const scope = link.openScope(opening)
  link.adopt(scope, process)
  const lost = { scope, opening, leaders: [], foreign: [process], released: [], letGo: [], folders: [] }
  const { processes } = (await link.closeScope(scope)) ?? (await endLost(link, lost, log))
  // It had ended by itself.
  if (processes.length === 0) return
  const survivors = processes.filter(({ ended }) => ended === 'survived')
  if (survivors.length === 0) {
    log.warn({ route, processes }, 'a process was adopted after its scope had closed, and was ended')
  } else {
    const fields = { route, processes, survivors, err: errorOfSurvivors(survivors) }
    log.error(fields, 'a process was adopted after its scope had closed, and could not be ended')
  }
}
