/** Logs errors of a command's standard streams that have no listener. */

import type { Socket } from 'node:net'
import { SubprocessError } from '../errors.js'

/**
 * * Listens to the stream's `'error'`, and logs it if nobody else does: a command that closes its standard
 *   input early must not end the server. A `SubprocessError` is not logged: there is a log line about the end
 *   of the scope already.
 */
export function logUnheardError(stream: Socket, log: (error: Error) => void): void {
  stream.on('error', (error) => {
    if (stream.listenerCount('error') === 1 && !(error instanceof SubprocessError)) log(error)
  })
}
