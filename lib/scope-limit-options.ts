/** The limits of what the processes of a scope use together, as options: how they are validated and merged. */

import { SubprocessOptionError } from './errors.js'
import type { ScopeLimits } from './scope-limits.js'

/** What the processes of one scope may use together. `false`, at a route or a job: no limit. */
export interface ScopeLimitOptions {
  /** Their resident memory, in bytes. What they share counts once, where the system tells. */
  memory?: number | false
  /** Their processor time, in ms, that of ended processes included. */
  cpu?: number | false
  /** How many of them may be alive at the same time. */
  processes?: number | false
}

/** The names of these options, with what they count. */
const units = {
  memory: 'bytes',
  cpu: 'ms of processor time',
  processes: 'processes'
} as const satisfies Record<keyof ScopeLimits, string>

export const scopeLimitNames = Object.keys(units) as (keyof ScopeLimits)[]

/**
 * The limits among these options, and those of `base` that they leave out. Undefined without any. `option` is the
 * user's name for the object.
 * @throws {SubprocessOptionError} a TypeError.
 */
export function scopeLimitsOf(
  option: string,
  given: ScopeLimitOptions,
  base: ScopeLimits | undefined
): ScopeLimits | undefined {
  const limits: Partial<Record<keyof ScopeLimits, number>> = { ...base }
  for (const name of scopeLimitNames) {
    const value = given[name]
    if (value === undefined) continue
    if (value === false) {
      delete limits[name]
      continue
    }
    if (!Number.isSafeInteger(value) || value < 1) {
      const wayOut = `set it to a whole number of ${units[name]}, 1 or more, or to false for no limit`
      throw new SubprocessOptionError(`${option}.${name}`, value, wayOut)
    }
    limits[name] = value
  }
  return Object.keys(limits).length === 0 ? undefined : limits
}
