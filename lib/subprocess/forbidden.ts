/** The error of a call that the policy forbids. */

import { SubprocessError } from '../errors.js'

/** `detail` says what was refused and what is allowed. */
export function forbidden(detail: string): SubprocessError {
  return new SubprocessError('ERR_SUBPROCESS_FORBIDDEN', detail)
}

/** A list of a policy, for a message. */
export function allowedNames(names: readonly string[]): string {
  return names.length === 0 ? 'none' : names.join(', ')
}
