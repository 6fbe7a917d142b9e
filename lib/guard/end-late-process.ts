/** Ends a process that was to join a scope that is already closed, or a request that is already over. */

import type { KeeperLink } from '../link/keeper-link.js'
import type { Logger } from '../log.js'
import type { FirstSignalTo } from '../options.js'
import type { ProcessName } from '../wire/messages.js'
import { endLostScope } from './keeper-loss.js'
import { errorOfSurvivors } from './log-scope-end.js'

/** Settings of the closed scope, or of the request that never had one. */
export interface LateProcessContext {
  readonly graceMs: number
  readonly killSignal: NodeJS.Signals
  readonly firstSignalTo: FirstSignalTo
  readonly log: Logger
  readonly route: string | undefined
}

/** Ends the process and its descendants in a scope of their own, and logs it. */
export async function endLateProcess(
  link: KeeperLink,
  process: ProcessName,
  context: LateProcessContext
): Promise<void> {
  const { log, route, graceMs, killSignal, firstSignalTo } = context
  const opening = { id: 'late', route, graceMs, killSignal, firstSignalTo }
  const scope = link.openScope(opening)
  link.adopt(scope, process)
  const lost = {
    scope,
    opening,
    leaders: [],
    external: [process],
    releasedCommands: [],
    releasedAdopted: [],
    folders: []
  }
  const { processes } = (await link.closeScope(scope)) ?? (await endLostScope(link, lost, log))
  // The process had already exited.
  if (processes.length === 0) return
  const survivors = processes.filter(({ ended }) => ended === 'survived')
  if (survivors.length === 0) {
    log.warn({ route, processes }, 'a process was adopted after its scope had closed, and was ended')
  } else {
    const fields = { route, processes, survivors, err: errorOfSurvivors(survivors) }
    log.error(fields, 'a process was adopted after its scope had closed, and could not be ended')
  }
}
