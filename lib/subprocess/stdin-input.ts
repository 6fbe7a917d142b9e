/** The option `input`: what is written to the standard input of a command. */

import { finished, Readable } from 'node:stream'
import { isUint8Array } from 'node:util/types'
import { SubprocessOptionError } from '../errors.js'
import type { Subprocess } from './subprocess.js'

/** What is written to the standard input of a command. */
export type Input = string | Uint8Array | NodeJS.ReadableStream | AsyncIterable<string | Uint8Array>

/** Throws a TypeError for a value that cannot be written to a standard input. */
export function checkedInput(input: unknown): Input | undefined {
  if (input === undefined || typeof input === 'string' || isUint8Array(input)) return input
  if (typeof input === 'object' && input !== null && Symbol.asyncIterator in input) return input as Input
  throw new SubprocessOptionError(
    'options.input',
    input,
    'give a string, bytes, a readable stream or an async iterable'
  )
}

/**
 * Writes the input to the command's standard input and ends it. It is no error if the command does not read
 * all of it: the rest is read and dropped, because the input may be a request body, and to destroy that
 * would close the connection. Calls `onError` if the input itself fails. Standard input then stays open, so
 * that the command does not take a part of the input for all of it.
 */
export function writeInput(
  child: Subprocess,
  input: Input | undefined,
  onError: (error: Error) => void
): void {
  const { stdin } = child
  // Undefined if Node was out of descriptors and opened no streams at all.
  if (stdin === null || stdin === undefined) return
  // EPIPE: the command no longer reads.
  stdin.on('error', () => {})
  if (input === undefined || typeof input === 'string' || isUint8Array(input)) {
    stdin.end(input)
    return
  }
  const source = input instanceof Readable ? input : Readable.from(input)
  source.pipe(stdin, { end: false })
  stdin.once('close', () => {
    source.unpipe(stdin)
    source.resume()
  })
  finished(source, { writable: false }, (error) => {
    if (error) onError(error)
    else stdin.end()
  })
}
