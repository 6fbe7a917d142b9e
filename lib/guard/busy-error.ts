/** The error of a call that finds no place to run and none to wait. */

import { SubprocessError } from '../errors.js'

/** The limit that is reached. */
export interface ReachedLimit {
  readonly name: 'concurrency' | 'queue'
  readonly value: number
  /** Who has set it, such as "the server". */
  readonly setBy: string
}

/** The response gets `headers` from Fastify's default error handler and from that of Express. */
export function busyError({ name, value, setBy }: ReachedLimit, retryAfter: number): SubprocessError {
  const limit = `limits.${name} of ${setBy} is ${value}`
  const detail =
    name === 'queue'
      ? `${limit}, and no more can wait`
      : `${limit}, no place is free, and a direct launch cannot wait`
  const error = new SubprocessError('ERR_SUBPROCESS_BUSY', detail)
  return Object.assign(error, { retryAfter, headers: { 'retry-after': String(retryAfter) } })
}
