/** Logs the end of a scope: which processes were ended, which survived, and which directories are left. */

import type { CloseReason } from '../close-reason.js'
import { SubprocessError } from '../errors.js'
import type { Logger } from '../log.js'
import type { EndedProcess } from '../wire/messages.js'
import type { ScopeReport } from './scope-report.js'

const maxProcessesLogged = 50
/** For these reasons, processes that had to be ended are worth a warning. */
const unexpected: ReadonlySet<CloseReason> = new Set(['deadline', 'limit', 'failed', 'finished'])

/** Logs one line for live processes and one for directories that are left. A clean end is not logged. */
export function logScopeEnd(
  log: Logger,
  { processes, survivors, leftFolders, ...report }: ScopeReport
): void {
  if (leftFolders.length > 0) {
    log.error({ ...report, leftFolders }, 'folders of a closed scope could not be removed')
  }
  if (processes.length === 0 && report.reason !== 'limit') return
  const fields = { ...report, processes: processes.slice(0, maxProcessesLogged) }
  const ended = processes.length - survivors.length
  const message = `scope closed (${report.reason}): ended ${ended} processes, ${survivors.length} survived`
  if (survivors.length > 0) {
    log.error({ ...fields, survivors, err: errorOfSurvivors(survivors) }, message)
  } else if (unexpected.has(report.reason)) {
    log.warn(fields, message)
  } else {
    log.info(fields, message)
  }
}

/** An error that names the survivors, up to 50, and why each could not be ended. */
export function errorOfSurvivors(survivors: readonly EndedProcess[]): SubprocessError {
  const shown = survivors.slice(0, maxProcessesLogged)
  const others = survivors.length - shown.length
  const detail = [
    ...shown.map(({ pid, command, why }) => `${pid} ${command} (${why})`),
    ...(others === 0 ? [] : [`and ${others} more`])
  ].join('; ')
  return new SubprocessError('ERR_SUBPROCESS_SURVIVORS', detail)
}
