/** A command run to its end: what it wrote, or an error that tells how it failed. */

import { finished, Readable } from 'node:stream'
import { isUint8Array } from 'node:util/types'
import { SubprocessOptionError } from '../errors.js'
import type { SpawnOptions } from './command.js'
import type { Subprocess } from './subprocess.js'

/** What a command reads from its standard input. */
export type Input = string | Uint8Array | NodeJS.ReadableStream | AsyncIterable<string | Uint8Array>

/** Options of `execFile` and `exec`, as of their namesakes in `child_process`. */
export interface ExecOptions extends Omit<SpawnOptions, 'stdio' | 'serialization'> {
  /** How output becomes text; `'buffer'` or null for a Buffer. Default `'utf8'`. */
  encoding?: BufferEncoding | 'buffer' | null | undefined
  /** The command is ended, with all that it has started, when more is written to stdout, or to stderr, in bytes. Default 1,048,576. */
  maxBuffer?: number | undefined
  /** Its standard input. Default: nothing. */
  input?: Input | undefined
}

/** What a command wrote. */
export interface Output<Text extends string | Buffer = string> {
  readonly stdout: Text
  readonly stderr: Text
}

/**
 * How a command failed, as `child_process.execFile` tells it. Its message names the program and how that ended, and may be
 * shown to a client: the command line and what the command wrote are in fields of their own.
 */
export interface ExecError extends Error {
  /** The exit status, or the code of the failed system call or check; null when a signal ended it. */
  readonly code: number | string | null
  readonly signal: NodeJS.Signals | null
  /** Whether `timeout`, `maxBuffer` or `signal` ended it. */
  readonly killed: boolean
  /** The command line. */
  readonly cmd: string
  /** What it had written until then. */
  readonly stdout: string | Buffer
  readonly stderr: string | Buffer
}

/** The output to come, and the command that gives it. */
export type PromiseWithChild<Result> = Promise<Result> & { readonly child: Subprocess }

// As in child_process.
const defaultMaxBufferBytes = 1024 * 1024

/** Options for the run, apart from those for the start. */
export function splitExecOptions({ encoding = 'utf8', maxBuffer, input, ...spawnOptions }: ExecOptions): {
  readonly run: RunOptions
  readonly spawnOptions: Omit<SpawnOptions, 'stdio'>
} {
  if (encoding !== null && encoding !== 'buffer' && !Buffer.isEncoding(encoding)) {
    throw new SubprocessOptionError('options.encoding', encoding, "give an encoding of Buffer, or 'buffer'")
  }
  const maxBufferBytes = maxBuffer ?? defaultMaxBufferBytes
  if (typeof maxBufferBytes !== 'number' || !(maxBufferBytes >= 0)) {
    throw new SubprocessOptionError('options.maxBuffer', maxBuffer, 'give a number of bytes, or Infinity')
  }
  return { run: { encoding, maxBufferBytes, input: inputOf(input) }, spawnOptions }
}

export interface RunOptions {
  readonly encoding: BufferEncoding | 'buffer' | null
  readonly maxBufferBytes: number
  readonly input: Input | undefined
}

/** Throws a TypeError for what cannot be a standard input. */
export function inputOf(input: unknown): Input | undefined {
  if (input === undefined || typeof input === 'string' || isUint8Array(input)) return input
  if (typeof input === 'object' && input !== null && Symbol.asyncIterator in input) return input as Input
  throw new SubprocessOptionError('options.input', input, 'give a string, bytes, or a readable stream')
}

/**
 * Writes the input and ends it. That a command does not read all of it is no failure, and the rest is read away:
 * the input may be the body of a request, whose end would be the end of the connection. Calls back when the
 * input itself fails; the command's standard input is then left open, or it would take a part for the whole.
 */
export function feed(child: Subprocess, input: Input | undefined, onError: (error: Error) => void): void {
  const { stdin } = child
  // Undefined where Node was out of descriptors and opened no streams at all.
  if (stdin === null || stdin === undefined) return
  // EPIPE: it reads no more.
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

/**
 * Collects what a command writes. Resolves or rejects when it has ended; rejects at once when it was not started or
 * its `signal` was aborted, as Node does: its scope sees to the rest.
 */
export function collect(child: Subprocess, cmd: string, options: RunOptions): Promise<Output<never>> {
  let failure: Error | undefined
  let wasKilled = false
  const silence = (): void => {
    child.stdout?.destroy()
    child.stderr?.destroy()
  }
  const stop = (error: Error): void => {
    failure ??= error
    wasKilled = true
    silence()
    void child.terminate()
  }
  const stdout = new Collected(child, 'stdout', options, stop)
  const stderr = new Collected(child, 'stderr', options, stop)
  for (const output of [child.stdout, child.stderr]) {
    // It has not come whole, whatever the status.
    output?.on('error', (error) => {
      failure ??= error
    })
  }
  feed(child, options.input, stop)
  return new Promise((resolve, reject) => {
    const fail = (error: Error, signal: NodeJS.Signals | null): void => {
      const killed = wasKilled || child.killed
      reject(Object.assign(error, { signal, killed, cmd, stdout: stdout.value, stderr: stderr.value }))
    }
    child.on('error', (error) => {
      silence()
      fail(failure ?? error, null)
    })
    child.once('close', (code, signal) => {
      if (failure !== undefined) fail(failure, signal)
      else if (code !== 0 || signal !== null) {
        // The message may be sent to the client: no arguments, and nothing that the command has said.
        const message = `Command failed: ${child.spawnfile}: ${howItEnded(code, signal)}`
        fail(Object.assign(new Error(message), { code }), signal)
      } else resolve({ stdout: stdout.value, stderr: stderr.value } as Output<never>)
    })
  })
}

/** How a command ended that did not succeed. */
export function howItEnded(exitCode: number | null, signal: NodeJS.Signals | null): string {
  if (signal !== null) return `ended by ${signal}`
  return exitCode === null ? 'its output was not read to the end' : `status ${exitCode}`
}

// Enough for the last words of a command.
const loggedErrorBytes = 8 * 1024

/** The error of a run for a line in the log: what a command wrote may be many megabytes. */
export function briefOf(error: unknown): unknown {
  if (!(error instanceof Error) || !('stdout' in error)) return error
  const { stdout, stderr, ...fields } = error as ExecError
  const brief = Object.assign(new Error(error.message), fields)
  return Object.assign(brief, { stack: error.stack, stderr: stderr.slice(-loggedErrorBytes).toString() })
}

/** What comes of one stream. Whoever listens, too, gets text as it is to become, and may set another encoding, as with Node. */
class Collected {
  readonly #stream: Readable | null
  readonly #isText: boolean
  readonly #chunks: (string | Buffer)[] = []
  #bytes = 0

  constructor(
    child: Subprocess,
    name: 'stdout' | 'stderr',
    { encoding, maxBufferBytes }: RunOptions,
    stop: (error: Error) => void
  ) {
    this.#stream = child[name]
    this.#isText = encoding !== null && encoding !== 'buffer'
    if (this.#isText) this.#stream?.setEncoding(encoding as BufferEncoding)
    this.#stream?.on('data', (chunk: string | Buffer) => {
      const bytes = Buffer.byteLength(chunk, this.#stream?.readableEncoding ?? undefined)
      const room = maxBufferBytes - this.#bytes
      this.#bytes += bytes
      this.#chunks.push(bytes > room ? chunk.slice(0, Math.max(room, 0)) : chunk)
      if (bytes <= room) return
      const error = new RangeError(`${name} maxBuffer length exceeded`)
      stop(Object.assign(error, { code: 'ERR_CHILD_PROCESS_STDIO_MAXBUFFER' }))
    })
  }

  get value(): string | Buffer {
    const isText = this.#isText || typeof this.#stream?.readableEncoding === 'string'
    return isText ? this.#chunks.join('') : Buffer.concat(this.#chunks as Buffer[])
  }
}
