/** The options of `stream`. */

import { SubprocessOptionError } from '../errors.js'
import type { SpawnOptions } from './spawn-options.js'
import { checkedInput, type Input } from './stdin-input.js'

/** Options of `stream`. */
export interface StreamOptions extends Omit<SpawnOptions, 'stdio' | 'serialization'> {
  /** Written to the command's standard input, which then ends. Default: whatever is written to the stream. */
  input?: Input | undefined
  /** HTTP status of the error if the command fails, from 400 to 599. Default 502. */
  statusCode?: number | undefined
}

/** The validated options of one stream, without those of `spawn`. */
export interface StreamSettings {
  readonly input: Input | undefined
  readonly statusCode: number
}

/** Validates the options that are not those of `spawn`, and separates the two. Throws a TypeError. */
export function splitStreamOptions({ input, statusCode = 502, ...spawnOptions }: StreamOptions): {
  readonly streamSettings: StreamSettings
  readonly spawnOptions: Omit<SpawnOptions, 'stdio'>
} {
  if (!Number.isInteger(statusCode) || statusCode < 400 || statusCode > 599) {
    throw new SubprocessOptionError('options.statusCode', statusCode, 'give an HTTP status from 400 to 599')
  }
  return { streamSettings: { input: checkedInput(input), statusCode }, spawnOptions }
}
