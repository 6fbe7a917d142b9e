/** A command as a stream that ends well only when the command does. */

import { Duplex, type Readable } from 'node:stream'
import { SubprocessError, SubprocessOptionError } from '../errors.js'
import type { SpawnOptions } from './command.js'
import { feed, howItEnded, type Input, inputOf } from './exec.js'
import { logged } from './logged-promise.js'
import { tolerate } from './rethrown-errors.js'
import type { Subprocess } from './subprocess.js'

/** Options of `stream`. */
export interface StreamOptions extends Omit<SpawnOptions, 'stdio' | 'serialization'> {
  /** The command's standard input. Without it, what is written to the stream. */
  input?: Input | undefined
  /** HTTP status of the error when the command fails. Default 502. */
  statusCode?: number | undefined
}

/** Why a stream was destroyed: its command failed, or was ended. */
export interface CommandFailure extends SubprocessError {
  /** The exit status; null when a signal ended the command. */
  readonly exitCode: number | null
  readonly signal: NodeJS.Signals | null
  readonly cmd: string
  /** The last 8 KiB that it wrote to standard error. */
  readonly stderr: string
}

// Enough for the last words of an ffmpeg.
const keptErrorBytes = 8 * 1024

export interface StreamRun {
  readonly input: Input | undefined
  readonly statusCode: number
}

/** Called with what would be an unhandled `'error'` event: on a server that is a log line, not the end. */
export type Unheard = (error: unknown, child: Subprocess) => void

/** Options for the stream, apart from those for the start. */
export function splitStreamOptions({ input, statusCode = 502, ...spawnOptions }: StreamOptions): {
  readonly run: StreamRun
  readonly spawnOptions: Omit<SpawnOptions, 'stdio'>
} {
  if (!Number.isInteger(statusCode) || statusCode < 400 || statusCode > 599) {
    throw new SubprocessOptionError('options.statusCode', statusCode, 'give an HTTP status from 400 to 599')
  }
  return { run: { input: inputOf(input), statusCode }, spawnOptions }
}

/**
 * The standard output of a command, and its standard input where no `input` was given. It ends when the command
 * has exited with status 0 and all its output is read; whatever else happens destroys it with an error, so that a
 * response is an error or is cut off, and never silently short. Its writable side ends with the command, too: what is
 * written afterwards is dropped, and what is piped into it is read away.
 */
export class CommandStream extends Duplex {
  /** The command. */
  readonly child: Subprocess
  /**
   * Resolves with the stream at the first byte, or at the end of a command that succeeds without output. Rejects
   * when it fails before that: the answer can still be an error then.
   */
  readonly ready: Promise<this>
  readonly #statusCode: number
  readonly #cmd: string
  readonly #hasInput: boolean
  readonly #onUnheard: Unheard
  #errorTail = Buffer.alloc(0)
  #startError: Error | undefined
  /** What is piped into it and has not ended, and how to stop waiting for that. */
  readonly #sources = new Map<Readable, () => void>()
  #hasEndedWell = false

  /** @internal */
  constructor(child: Subprocess, cmd: string, { input, statusCode }: StreamRun, onUnheard: Unheard) {
    // We destroy it when it is over: pipeline() fails if 'close' comes before the end of its source.
    super({ autoDestroy: false })
    this.child = child
    this.#cmd = cmd
    this.#statusCode = statusCode
    this.#hasInput = input !== undefined
    this.#onUnheard = onUnheard
    this.on('error', (error) => {
      if (this.listenerCount('error') === 1) onUnheard(error, child)
      this.destroy(error)
    })
    const ready = new Promise<this>((resolve, reject) => {
      child.stdout?.once('data', () => resolve(this))
      // Not at 'end', which does not come before somebody reads.
      child.once('close', (code, signal) => {
        if (this.#hasSucceeded(code, signal)) resolve(this)
      })
      this.once('close', () => reject(this.errored ?? this.#failure()))
    })
    let failure: unknown
    ready.catch((error) => {
      failure = error
    })
    // Whoever does not ask for it hears of the failure by 'error'. What is made of it may fail otherwise.
    this.ready = logged(ready, (error) => {
      if (error !== failure) onUnheard(error, child)
    })
    child.stdout?.on('data', (chunk: Buffer) => {
      if (!this.push(chunk)) child.stdout?.pause()
    })
    // What it wrote may not have come whole, whatever its status.
    child.stdout?.on('error', (error) => this.destroy(error))
    child.stderr?.on('data', (chunk: Buffer) => {
      this.#errorTail = Buffer.concat([this.#errorTail, chunk]).subarray(-keptErrorBytes)
    })
    child.once('error', (error) => {
      this.#startError = error
    })
    child.once('close', (code, signal) => {
      if (this.#hasSucceeded(code, signal)) this.#endWell()
      else this.destroy(this.#failure())
    })
    for (const event of ['end', 'finish']) this.once(event, () => this.#closeWhenOver())
    this.on('pipe', (source: Readable) => this.#watch(source))
    this.on('unpipe', (source: Readable) => {
      // Its end may be the end of a connection.
      if (this.#hasEndedWell) source.resume()
      else this.#forget(source)
    })
    if (input === undefined) {
      child.stdin?.on('error', (error) => this.#stopWriting(error))
    } else {
      feed(child, input, (error) => this.destroy(error))
      this.end()
    }
  }

  /**
   * Writes to the standard input of the command, as any stream. When the command has succeeded, or reads no more, the chunk
   * is dropped, and that is no error.
   */
  override write(chunk: unknown, callback?: (error?: Error | null) => void): boolean
  override write(
    chunk: unknown,
    encoding?: BufferEncoding,
    callback?: (error?: Error | null) => void
  ): boolean
  override write(...given: unknown[]): boolean {
    if (!this.#hasEndedWell) return super.write(...(given as [unknown]))
    callBack(given)
    return true
  }

  /** Ends the standard input of the command, as of any stream. A last chunk is dropped as by `write()`. */
  override end(callback?: () => void): this
  override end(chunk: unknown, callback?: () => void): this
  override end(chunk: unknown, encoding?: BufferEncoding, callback?: () => void): this
  override end(...given: unknown[]): this {
    if (!this.#hasEndedWell) return super.end(...(given as [unknown]))
    callBack(given)
    return this
  }

  override _read(): void {
    this.child.stdout?.resume()
  }

  override _write(chunk: Buffer, encoding: BufferEncoding, callback: (error?: Error | null) => void): void {
    const { stdin } = this.child
    // A command that reads no more is no failure: the rest is dropped, and its status tells.
    if (stdin === null || stdin.destroyed || stdin.writableEnded) callback()
    else if (stdin.write(chunk, encoding)) callback()
    else this.#whenDrained(callback)
  }

  override _final(callback: (error?: Error | null) => void): void {
    if (!this.#hasInput) this.child.stdin?.end()
    callback()
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    if (error) tolerate(this, error, () => this.#onUnheard(error, this.child))
    // Nobody reads any more. What a command has left that succeeded ends with its scope.
    if (!this.#hasEndedWell) void this.child.terminate()
    this.child.stdout?.destroy()
    // Its standard input stays open until it has ended, or it would take a part for the whole.
    callback(error)
  }

  #whenDrained(callback: () => void): void {
    const { stdin } = this.child
    const go = (): void => {
      stdin?.off('drain', go)
      stdin?.off('close', go)
      callback()
    }
    stdin?.once('drain', go)
    stdin?.once('close', go)
  }

  #endWell(): void {
    this.push(null)
    super.end()
    this.#hasEndedWell = true
  }

  #watch(source: Readable): void {
    if (source.readableEnded || source.destroyed) return
    // Not finished(), which would listen to 'error': that is for whoever has made the source.
    const forget = (): void => this.#forget(source)
    for (const event of ['end', 'close']) source.once(event, forget)
    this.#sources.set(source, forget)
  }

  #forget(source: Readable): void {
    const forget = this.#sources.get(source)
    if (forget === undefined) return
    for (const event of ['end', 'close']) source.off(event, forget)
    this.#sources.delete(source)
    this.#closeWhenOver()
  }

  #closeWhenOver(): void {
    if (this.readableEnded && this.writableFinished && this.#sources.size === 0) this.destroy()
  }

  #hasSucceeded(code: number | null, signal: NodeJS.Signals | null): boolean {
    return code === 0 && signal === null && this.#startError === undefined
  }

  #stopWriting(error: NodeJS.ErrnoException): void {
    if (error.code !== 'EPIPE' && error.code !== 'ECONNRESET') this.destroy(error)
  }

  #failure(): SubprocessError {
    // Its scope closed before it was started.
    if (this.#startError instanceof SubprocessError) return this.#startError
    const { exitCode, signalCode } = this.child
    const stderr = this.#errorTail.toString('utf8')
    const code = (this.#startError as NodeJS.ErrnoException | undefined)?.code
    const how = code ?? howItEnded(exitCode, signalCode)
    // The message may be sent to the client: no arguments, and nothing that the command has said.
    const detail = `${this.child.spawnfile}: ${how}`
    const error = new SubprocessError('ERR_SUBPROCESS_FAILED', detail, this.#startError)
    return Object.assign(error, {
      statusCode: this.#statusCode,
      exitCode: this.#startError === undefined ? exitCode : null,
      signal: signalCode,
      cmd: this.#cmd,
      stderr
    })
  }
}

/** Calls what may be the last argument of a write. */
function callBack(given: readonly unknown[]): void {
  const callback = given.at(-1)
  if (typeof callback === 'function') process.nextTick(callback as () => void)
}
