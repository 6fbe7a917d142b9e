/** The named pipes of standard streams, on a system where the keeper connects to the worker. */

import { createHash } from 'node:crypto'

/**
 * The pipe of the connection with this header. Any user may see and create pipes: nobody can guess the name
 * without the secret in the header, so nobody can create the pipe before the worker does.
 */
export function streamPipe(keeperSocket: string, header: string): string {
  return `${keeperSocket}-${createHash('sha256').update(header).digest('hex').slice(0, 32)}`
}
