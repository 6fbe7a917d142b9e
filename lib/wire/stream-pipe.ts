/** The names of the pipes of standard streams, on a system with named pipes. */

import { createHash } from 'node:crypto'

/**
 * The pipe of the connection with this header. Any user may see and create pipes: nobody can guess the name
 * without the secret in the header, so nobody can create the pipe first.
 */
export function streamPipe(keeperSocket: string, header: string): string {
  return `${keeperSocket}-${createHash('sha256').update(header).digest('hex').slice(0, 32)}`
}
