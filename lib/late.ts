/** Processes that come to a scope when it is closed: they are there, so they are ended. */

import type { KeeperLink } from './keeper/link.js'
import type { ProcessName } from './keeper/protocol.js'
import type { Logger } from './log.js'

/** What is known of the scope, or of the request that never had one. */
export interface Late {
  readonly graceMs: number
  readonly killSignal: NodeJS.Signals
  readonly log: Logger
  readonly route: string | undefined
}

/** Ends a process, with all that it has started, in a scope of its own, and says so. */
export async function endLate(link: KeeperLink, process: ProcessName, late: Late): Promise<void> {
  const scope = link.openScope(late.graceMs, late.killSignal)
  link.adopt(scope, process)
  const report = await link.closeScope(scope)
  const fields = { route: late.route, processes: report?.processes ?? [] }
  late.log.warn(fields, 'a process was adopted after its scope had closed, and was ended')
}
