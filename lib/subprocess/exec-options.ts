/** The options of `execFile` and `exec`. */

import { SubprocessOptionError } from '../errors.js'
import type { SpawnOptions } from './spawn-options.js'
import { checkedInput, type Input } from './stdin-input.js'

/** Options of `execFile` and `exec`, as of the functions of the same name in `child_process`. */
export interface ExecOptions extends Omit<SpawnOptions, 'stdio' | 'serialization'> {
  /** The encoding that decodes the output to strings; `'buffer'` or null for a Buffer. Default `'utf8'`. */
  encoding?: BufferEncoding | 'buffer' | null | undefined
  /**
   * The most that may be written to stdout, and to stderr, in bytes. If there is more, the command is ended
   * with its process tree. Default 1,048,576.
   */
  maxBuffer?: number | undefined
  /** Written to the command's standard input, which then ends. Default: nothing. */
  input?: Input | undefined
}

/** The validated options of one run, without those of `spawn`. */
export interface CollectOptions {
  readonly encoding: BufferEncoding | 'buffer' | null
  readonly maxBufferBytes: number
  readonly input: Input | undefined
}

// The default of child_process.
const defaultMaxBufferBytes = 1024 * 1024

/** Validates the options that are not those of `spawn`, and separates the two. Throws a TypeError. */
export function splitExecOptions({ encoding = 'utf8', maxBuffer, input, ...spawnOptions }: ExecOptions): {
  readonly collectOptions: CollectOptions
  readonly spawnOptions: Omit<SpawnOptions, 'stdio'>
} {
  if (encoding !== null && encoding !== 'buffer' && !Buffer.isEncoding(encoding)) {
    const wayOut = "give an encoding of Buffer, such as 'utf8', or 'buffer'"
    throw new SubprocessOptionError('options.encoding', encoding, wayOut)
  }
  const maxBufferBytes = maxBuffer ?? defaultMaxBufferBytes
  if (typeof maxBufferBytes !== 'number' || !(maxBufferBytes >= 0)) {
    throw new SubprocessOptionError('options.maxBuffer', maxBuffer, 'give a number of bytes, or Infinity')
  }
  return { collectOptions: { encoding, maxBufferBytes, input: checkedInput(input) }, spawnOptions }
}
