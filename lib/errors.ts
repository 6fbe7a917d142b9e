/** All errors of the package: one table of code, HTTP status and message. */

import type { CloseReason } from './close-reason.js'
import type { ExceededLimit } from './scope-limits.js'

const table = {
  ERR_SUBPROCESS_DEADLINE: { statusCode: 503, message: 'The request did not end within its deadline' },
  ERR_SUBPROCESS_LIMIT: { statusCode: 503, message: 'The subprocesses of the request exceeded a limit' },
  ERR_SUBPROCESS_SHUTDOWN: { statusCode: 503, message: 'The server is shutting down' },
  ERR_SUBPROCESS_DISCONNECTED: { statusCode: 499, message: 'The client closed the connection' },
  ERR_SUBPROCESS_SCOPE_CLOSED: { statusCode: 503, message: 'The scope of this request is closed' },
  ERR_SUBPROCESS_BUSY: { statusCode: 503, message: 'Too many commands' },
  ERR_SUBPROCESS_KEEPER_LOST: { statusCode: 503, message: 'The keeper process ended unexpectedly' },
  ERR_SUBPROCESS_KEEPER_START: { statusCode: 500, message: 'The keeper process could not be started' },
  ERR_SUBPROCESS_CONTAINMENT: { statusCode: 500, message: 'Weaker containment than required' },
  ERR_SUBPROCESS_FORBIDDEN: { statusCode: 500, message: 'Forbidden by the policy' },
  ERR_SUBPROCESS_UNGUARDED: { statusCode: 500, message: 'This request has no scope' },
  ERR_SUBPROCESS_FAILED: { statusCode: 502, message: 'A command failed' },
  ERR_SUBPROCESS_SURVIVORS: { statusCode: 500, message: 'Processes could not be ended' },
  ERR_SUBPROCESS_OPTION: { statusCode: 500, message: 'Invalid option' }
} as const

/** The `code` of an error made by this package. */
export type SubprocessErrorCode = keyof typeof table

/**
 * An error of this package. Programs identify it by its `code`. Frameworks read `statusCode`, or `status` and
 * `expose` as on an error of `http-errors`. `cause` is the underlying error, if there is one.
 */
export class SubprocessError extends Error {
  /** The name of the class. */
  override readonly name = 'SubprocessError'
  /** Identifies the error. The table of errors in the documentation says what to do. */
  readonly code: SubprocessErrorCode
  /** HTTP status of the response, if the error reaches the error handler of the framework. */
  readonly statusCode: number
  /** The same as `statusCode`. */
  declare status: number
  /** Whether the message may be sent to the client, as in `http-errors`: true if the status is below 500. */
  declare expose: boolean
  /** Why the scope closed, if the error was caused by that. */
  declare readonly reason?: CloseReason
  /** Only with the code `ERR_SUBPROCESS_LIMIT`: the limit, its value, and who exceeded it. */
  declare readonly exceeded?: ExceededLimit
  /** Of `ERR_SUBPROCESS_BUSY`: when to try again, in seconds; at least 1. */
  declare readonly retryAfter?: number
  /** Of `ERR_SUBPROCESS_BUSY`: the header `retry-after`, which Fastify and Express add to the response. */
  declare readonly headers?: Readonly<Record<string, string>>

  /** @internal */
  constructor(code: SubprocessErrorCode, detail?: string, cause?: unknown) {
    super(messageOf(code, detail), cause === undefined ? undefined : { cause })
    this.code = code
    this.statusCode = table[code].statusCode
  }
}

/**
 * An option that is unknown, has a wrong value, or would have no effect. The message says what to do instead.
 */
export class SubprocessOptionError extends TypeError {
  /** The name of the class. */
  override readonly name = 'SubprocessOptionError'
  /** Identifies the error. */
  readonly code = 'ERR_SUBPROCESS_OPTION'
  /** HTTP status of the response, if the error reaches the error handler of the framework. */
  readonly statusCode = table.ERR_SUBPROCESS_OPTION.statusCode
  /** The same as `statusCode`. */
  declare status: number
  /** Whether the message may be sent to the client, as in `http-errors`: true if the status is below 500. */
  declare expose: boolean

  /** @internal */
  constructor(option: string, value: unknown, wayOut: string) {
    super(`${option} is ${format(value)}: ${wayOut}`)
  }
}

/**
 * The properties by which NestJS and Koa recognize an error of `http-errors`. They follow `statusCode`, which
 * a route or an error handler may set. They can be set too: `http-errors` does so with an error that is
 * passed to it.
 */
const likeHttpErrors: PropertyDescriptorMap & ThisType<{ statusCode: number }> = {
  status: {
    configurable: true,
    get() {
      return this.statusCode
    },
    set(status: number) {
      this.statusCode = status
    }
  },
  expose: {
    configurable: true,
    get() {
      return this.statusCode < 500
    },
    set(value: boolean) {
      const attributes = { configurable: true, enumerable: true, writable: true }
      Object.defineProperty(this, 'expose', { ...attributes, value })
    }
  }
}
for (const { prototype } of [SubprocessError, SubprocessOptionError]) {
  Object.defineProperties(prototype, likeHttpErrors)
}

function messageOf(code: SubprocessErrorCode, detail: string | undefined): string {
  const text = table[code].message
  return detail === undefined ? text : `${text}: ${detail}`
}

function format(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value)
  if (typeof value === 'function') return 'a function'
  if (typeof value === 'bigint') return `${value}n`
  try {
    return JSON.stringify(value) ?? String(value)
  } catch {
    // A circular object has no JSON. Its tag is better than nothing.
    return Object.prototype.toString.call(value)
  }
}
