/** What the guard needs of a logger, and the one it has when it is given none. */

/** Where the guard's lines go. Fastify's `request.log` and every pino logger are such. */
export interface Logger {
  /** For what is as it should be. */
  info(fields: object, message: string): void
  /** For what had to be ended. */
  warn(fields: object, message: string): void
  /** For what could not be ended, and for failures that nobody listens to. */
  error(fields: object, message: string): void
}

// The levels of pino, so that the lines read like those of the keeper.
const levels = { warn: 40, error: 50 }

function say(level: number, { err, ...fields }: { err?: unknown }, msg: string): void {
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

/** One line of JSON on standard error for each warning and error. */
export const defaultLogger: Logger = {
  info() {},
  warn: (fields, message) => say(levels.warn, fields, message),
  error: (fields, message) => say(levels.error, fields, message)
}
