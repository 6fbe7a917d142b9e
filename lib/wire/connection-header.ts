/**
 * The first bytes of a connection to the keeper's stdio server: they authenticate it and say what it is for.
 */

/** Length of every header, in bytes: the keeper's secret and the connection number. */
export const headerBytes = 40

/** The connection number of the worker's watch thread. All other numbers are stdio streams. */
export const watchConnection = 0

/** The header of a connection: the keeper's secret, then the number in hexadecimal, padded with zeros. */
export function connectionHeader(secret: string, connection: number): string {
  return secret + connection.toString(16).padStart(headerBytes - secret.length, '0')
}

/**
 * The header of a connection that reads the worker's status: the keeper answers with one line of JSON, a
 * `WorkerStatus`, and closes the connection. It needs no secret.
 */
export const statusHeader = 'status'.padEnd(headerBytes, ' ')
