/** What became of a scope, and how the log tells of it. */

import type { CloseReason } from './close-reason.js'
import { SubprocessError } from './errors.js'
import type { EndedProcess, LeftFolder } from './keeper/protocol.js'
import type { Logger } from './log.js'

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

/** How one command has ended, with all that it had started. */
export interface TerminationReport {
  /** The processes that were alive when that was asked for, and how each ended. */
  readonly processes: readonly EndedProcess[]
  /** Those of them that could not be ended. They stay the scope's, and are in its report. */
  readonly survivors: readonly EndedProcess[]
}

export function terminationReport(processes: readonly EndedProcess[]): TerminationReport {
  return { processes, survivors: processes.filter(({ ended }) => ended === 'survived') }
}

const mostProcessesLogged = 50

/** Says what was left, and what had to be ended. */
export function logReport(log: Logger, { processes, survivors, leftFolders, ...report }: ScopeReport): void {
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
