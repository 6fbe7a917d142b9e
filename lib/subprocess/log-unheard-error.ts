/** Logs errors of a command's standard streams that have no listener. */

import type { Socket } from 'node:net'
import { SubprocessError } from '../errors.js'

/**
 * Logs the stream's `'error'` event if nobody else listens to it: a command that closes its standard input
 * early must not end the server. A `SubprocessError` is not logged, because the end of the scope already is.
 */
export function logUnheardError(stream: Socket, log: (error: Error) => void): void {
  stream.on('error', (error) => {
    if (stream.listenerCount('error') === 1 && !(error instanceof SubprocessError)) log(error)
  })
}
