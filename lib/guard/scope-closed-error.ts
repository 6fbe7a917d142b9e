/** The error of a request or job whose scope is closed: its code follows from the close reason. */

import type { CloseReason } from '../close-reason.js'
import { SubprocessError, type SubprocessErrorCode } from '../errors.js'
import type { ExceededLimit } from '../scope-limits.js'

const codeByReason: Partial<Record<CloseReason, SubprocessErrorCode>> = {
  deadline: 'ERR_SUBPROCESS_DEADLINE',
  limit: 'ERR_SUBPROCESS_LIMIT',
  disconnected: 'ERR_SUBPROCESS_DISCONNECTED',
  shutdown: 'ERR_SUBPROCESS_SHUTDOWN',
  'keeper-lost': 'ERR_SUBPROCESS_KEEPER_LOST'
}

/** The error for a scope that closed for this reason. The error has the reason in `reason`. */
export function scopeClosedError(reason: CloseReason, detail?: string, cause?: unknown): SubprocessError {
  const error = new SubprocessError(codeByReason[reason] ?? 'ERR_SUBPROCESS_SCOPE_CLOSED', detail, cause)
  return Object.assign(error, { reason })
}

/**
 * The error for a scope whose processes have exceeded a limit. The message may be sent to a client, so it names the
 * program without its arguments.
 */
export function limitError(exceeded: ExceededLimit, cause?: unknown): SubprocessError {
  const { limit, value, used, program } = exceeded
  const unit = limit === 'memory' ? ' bytes' : limit === 'cpu' ? ' ms' : ''
  const largest = limit === 'processes' ? 'most of them' : 'the largest'
  const detail = `${limit} ${value}${unit} (they used ${used}${unit}; ${largest}: ${program})`
  return Object.assign(scopeClosedError('limit', detail, cause), { exceeded })
}

/** Whether the error only reports that a scope is closed, and no failure. */
export function isScopeClosedError(error: unknown): boolean {
  return error instanceof SubprocessError && error.reason !== undefined
}
