/** Logs the end of a scope: what had to be ended, what survived, and which folders are left. */

import { SubprocessError } from '../errors.js'
import type { Logger } from '../log.js'
import type { EndedProcess } from '../wire/messages.js'
import type { ScopeReport } from './scope-report.js'

const mostProcessesLogged = 50

/** Says what was left, and what had to be ended. */
export function logScopeEnd(
  log: Logger,
  { processes, survivors, leftFolders, ...report }: ScopeReport
): void {
  if (leftFolders.length > 0) {
    log.error({ ...report, leftFolders }, 'folders of a closed scope could not be removed')
  }
  if (processes.length === 0) return
  const fields = { ...report, processes: processes.slice(0, mostProcessesLogged) }
  const ended = processes.length - survivors.length
  const message = `scope closed (${report.reason}): ended ${ended} processes, ${survivors.length} survived`
  if (survivors.length > 0) {
    log.error({ ...fields, survivors, err: errorOfSurvivors(survivors) }, message)
  } else if (report.reason === 'deadline' || report.reason === 'failed' || report.reason === 'finished') {
    log.warn(fields, message)
  } else {
    log.info(fields, message)
  }
}

/** Names the processes that could not be ended, and why. */
export function errorOfSurvivors(survivors: readonly EndedProcess[]): SubprocessError {
  const shown = survivors.slice(0, mostProcessesLogged)
  const others = survivors.length - shown.length
  const named = [
    ...shown.map(({ pid, command, why }) => `${pid} ${command} (${why})`),
    ...(others === 0 ? [] : [`and ${others} more`])
  ].join('; ')
  return new SubprocessError('ERR_SUBPROCESS_SURVIVORS', named)
}
