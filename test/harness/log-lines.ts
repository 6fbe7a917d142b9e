/**
 * A logger for Fastify that prints warnings and errors as pino does, one JSON object per line. To load pino
 * takes a worker almost as much processor time as to start Node.
 */

import { writeSync } from 'node:fs'
import type { FastifyBaseLogger, FastifyReply, FastifyRequest } from 'fastify'

/** Creates a logger that adds these fields to all lines. */
export function logLines(bindings: object = {}): FastifyBaseLogger {
  const print = (level: number) => (given: unknown, message?: string) => {
    const fields =
      typeof given === 'string' ? { msg: given } : given instanceof Error ? { err: given } : given
    const line = {
      level,
      time: Date.now(),
      ...bindings,
      ...(fields as object),
      ...(message && { msg: message })
    }
    writeSync(1, `${JSON.stringify(line, describe)}\n`)
  }
  const ignore = (): void => {}
  return {
    level: 'warn',
    fatal: print(60),
    error: print(50),
    warn: print(40),
    info: ignore,
    debug: ignore,
    trace: ignore,
    silent: ignore,
    child: (more: object) => logLines({ ...bindings, ...more })
  } as FastifyBaseLogger
}

/** A short form of values that JSON cannot hold: requests and replies refer to everything. */
function describe(key: string, value: unknown): unknown {
  if (key === 'req') return { url: (value as FastifyRequest).url }
  if (key === 'res') return { statusCode: (value as FastifyReply).statusCode }
  if (!(value instanceof Error)) return value
  return { ...value, type: value.name, message: value.message, stack: value.stack }
}
