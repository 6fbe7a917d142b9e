/** Every error of the package: one table of code, status and message. */

import type { CloseReason } from './close-reason.js'

const table = {
  ERR_SUBPROCESS_DEADLINE: { statusCode: 503, message: 'The request did not end within its deadline' },
  ERR_SUBPROCESS_SHUTDOWN: { statusCode: 503, message: 'The server is shutting down' },
  ERR_SUBPROCESS_DISCONNECTED: { statusCode: 499, message: 'The client closed the connection' },
  ERR_SUBPROCESS_SCOPE_CLOSED: { statusCode: 503, message: 'The scope of this request is closed' },
  ERR_SUBPROCESS_KEEPER_LOST: { statusCode: 503, message: 'The keeper process ended unexpectedly' },
  ERR_SUBPROCESS_KEEPER_START: { statusCode: 500, message: 'The keeper process could not be started' },
  ERR_SUBPROCESS_UNGUARDED: { statusCode: 500, message: 'This request has no scope' },
  ERR_SUBPROCESS_FAILED: { statusCode: 502, message: 'A command failed' },
  ERR_SUBPROCESS_SURVIVORS: { statusCode: 500, message: 'Processes could not be ended' },
  ERR_SUBPROCESS_OPTION: { statusCode: 500, message: 'Invalid option' }
} as const

/** The `code` of an error made by this package. */
export type SubprocessErrorCode = keyof typeof table

/**
 * An error of this package. Frameworks read `statusCode`, or as of `http-errors` `status` and `expose`; programs read `code`;
 * `cause` holds what lies beneath, where there is something.
 */
export class SubprocessError extends Error {
  /** The name of the class. */
  override readonly name = 'SubprocessError'
  /** Names the error: the table in the README says what to do. */
  readonly code: SubprocessErrorCode
  /** HTTP status of the answer, when the error reaches the framework's error handler. */
  readonly statusCode: number
  /** The same as `statusCode`. */
  declare status: number
  /** Whether the message is for the client, by the custom of `http-errors`: below 500. */
  declare expose: boolean
  /** Why the scope closed, where that is what the error tells of. */
  declare readonly reason?: CloseReason

  /** @internal */
  constructor(code: SubprocessErrorCode, detail?: string, cause?: unknown) {
    super(message(code, detail), cause === undefined ? undefined : { cause })
    this.code = code
    this.statusCode = table[code].statusCode
  }
}

/** An option that is unknown, of the wrong shape, or without effect. The message names the way out. */
export class SubprocessOptionError extends TypeError {
  /** The name of the class. */
  override readonly name = 'SubprocessOptionError'
  /** Names the error. */
  readonly code = 'ERR_SUBPROCESS_OPTION'
  /** HTTP status of the answer, when the error reaches the framework's error handler. */
  readonly statusCode = table.ERR_SUBPROCESS_OPTION.statusCode
  /** The same as `statusCode`. */
  declare status: number
  /** Whether the message is for the client, by the custom of `http-errors`: below 500. */
  declare expose: boolean

  /** @internal */
  constructor(option: string, value: unknown, wayOut: string) {
    super(`${option} is ${show(value)}: ${wayOut}`)
  }
}

/**
 * What NestJS and Koa take an error of `http-errors` by. It follows `statusCode`, which a route and an error handler may set,
 * and may be set itself, as `http-errors` does with an error that it is given.
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

function message(code: SubprocessErrorCode, detail: string | undefined): string {
  const text = table[code].message
  return detail === undefined ? text : `${text}: ${detail}`
}

function show(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value)
  if (typeof value === 'function') return 'a function'
  if (typeof value === 'bigint') return `${value}n`
  try {
    return JSON.stringify(value) ?? String(value)
  } catch {
    // A circular object has no JSON; its tag is still a help.
    return Object.prototype.toString.call(value)
  }
}
