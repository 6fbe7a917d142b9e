/** The logger that a guard needs, and the default one. */

/** Receives the log lines of a guard. Fastify's `request.log` and all pino loggers are compatible. */
export interface Logger {
  /** For expected events. */
  info(fields: object, message: string): void
  /** For processes that had to be ended. */
  warn(fields: object, message: string): void
  /** For processes that could not be ended, and for failures that have no other listener. */
  error(fields: object, message: string): void
}

// The levels of pino, as in the log lines of the keeper.
const levels = { warn: 40, error: 50 }

function write(level: number, { err, ...fields }: { err?: unknown }, msg: string): void {
  const error = err instanceof Error ? { err: { ...err, message: err.message, stack: err.stack } } : {}
  const line = {
    level,
    time: Date.now(),
    pid: process.pid,
    name: 'fastify-subprocess-guard',
    ...fields,
    ...error,
    msg
  }
  process.stderr.write(`${JSON.stringify(line)}\n`)
}

/** Writes each warning and error to standard error, as one line of JSON. */
export const defaultLogger: Logger = {
  info() {},
  warn: (fields, message) => write(levels.warn, fields, message),
  error: (fields, message) => write(levels.error, fields, message)
}
