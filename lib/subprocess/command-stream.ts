/** `CommandStream`: a command as a stream that ends without an error only if the command succeeds. */

import { Duplex, type Readable } from 'node:stream'
import type { SubprocessError } from '../errors.js'
import { catchRethrownError } from './catch-rethrown-error.js'
import { commandFailure } from './command-failure.js'
import { logIfUnhandled } from './logged-promise.js'
import { writeInput } from './stdin-input.js'
import type { StreamSettings } from './stream-options.js'
import type { Subprocess } from './subprocess.js'

// Enough for the last lines of an ffmpeg.
const keptStderrBytes = 8 * 1024

/**
 * Called with an `'error'` event that has no listener, so that it is logged and does not crash the server.
 */
export type OnUnhandled = (error: unknown, child: Subprocess) => void

/**
 * A command as a stream: readable is its standard output, writable its standard input (unless `input` was
 * given). It ends when the command has exited with status 0 and all its output is read. In any other case
 * it is destroyed with an error, so that an HTTP response becomes an error or is cut off, and is never
 * silently incomplete. The writable side ends with the command: what is written later is dropped, and
 * what is piped into it is read and dropped.
 */
export class CommandStream extends Duplex {
  /** The command's handle. */
  readonly child: Subprocess
  /**
   * Resolves with the stream at the first byte, or at the end of a command that succeeds without output.
   * Rejects if the command fails before that, when the response can still be an error.
   */
  readonly ready: Promise<this>
  readonly #statusCode: number
  readonly #cmd: string
  readonly #hasInput: boolean
  readonly #onUnhandled: OnUnhandled
  #stderrTail = Buffer.alloc(0)
  #startError: Error | undefined
  /**
   * The streams that are piped into this one and have not ended, each with the listener that removes it
   * from this map. 'close' waits for them: `pipeline()` takes an earlier one for a failure.
   */
  readonly #sources = new Map<Readable, () => void>()
  #hasEndedOnSuccess = false

  /** @internal */
  constructor(
    child: Subprocess,
    cmd: string,
    { input, statusCode }: StreamSettings,
    onUnhandled: OnUnhandled
  ) {
    // #closeWhenOver() destroys it: pipeline() fails if 'close' comes before the end of its source.
    super({ autoDestroy: false })
    this.child = child
    this.#cmd = cmd
    this.#statusCode = statusCode
    this.#hasInput = input !== undefined
    this.#onUnhandled = onUnhandled
    this.on('error', (error) => {
      if (this.listenerCount('error') === 1) onUnhandled(error, child)
      this.destroy(error)
    })
    const ready = new Promise<this>((resolve, reject) => {
      child.stdout?.once('data', () => resolve(this))
      // Not at 'end': that is emitted only if somebody reads.
      child.once('close', (code, signal) => {
        if (this.#isSuccess(code, signal)) resolve(this)
      })
      this.once('close', () => reject(this.errored ?? this.#failure()))
    })
    let failure: unknown
    ready.catch((error) => {
      failure = error
    })
    // The failure itself is not logged here: the stream also emits it as 'error'. A promise derived from
    // `ready` may fail in another way.
    this.ready = logIfUnhandled(ready, (error) => {
      if (error !== failure) onUnhandled(error, child)
    })
    child.stdout?.on('data', (chunk: Buffer) => {
      if (!this.push(chunk)) child.stdout?.pause()
    })
    // The output may be incomplete, whatever the exit status.
    child.stdout?.on('error', (error) => this.destroy(error))
    child.stderr?.on('data', (chunk: Buffer) => {
      this.#stderrTail = Buffer.concat([this.#stderrTail, chunk]).subarray(-keptStderrBytes)
    })
    child.once('error', (error) => {
      this.#startError = error
    })
    child.once('close', (code, signal) => {
      if (this.#isSuccess(code, signal)) this.#endOnSuccess()
      else this.destroy(this.#failure())
    })
    for (const event of ['end', 'finish']) this.once(event, () => this.#closeWhenOver())
    this.on('pipe', (source: Readable) => this.#trackSource(source))
    this.on('unpipe', (source: Readable) => {
      // Read the rest: if the source is a request body, its connection cannot be reused before that is read.
      if (this.#hasEndedOnSuccess) source.resume()
      else this.#forget(source)
    })
    if (input === undefined) {
      child.stdin?.on('error', (error) => this.#onStdinError(error))
    } else {
      writeInput(child, input, (error) => this.destroy(error))
      this.end()
    }
  }

  /**
   * Writes to the standard input of the command. If the command has succeeded or no longer
   * reads, the chunk is dropped without an error.
   */
  override write(chunk: unknown, callback?: (error?: Error | null) => void): boolean
  override write(
    chunk: unknown,
    encoding?: BufferEncoding,
    callback?: (error?: Error | null) => void
  ): boolean
  override write(...given: unknown[]): boolean {
    if (!this.#hasEndedOnSuccess) return super.write(...(given as [unknown]))
    callLastArgument(given)
    return true
  }

  /** Ends the standard input of the command. A last chunk may be dropped as by `write()`. */
  override end(callback?: () => void): this
  override end(chunk: unknown, callback?: () => void): this
  override end(chunk: unknown, encoding?: BufferEncoding, callback?: () => void): this
  override end(...given: unknown[]): this {
    if (!this.#hasEndedOnSuccess) return super.end(...(given as [unknown]))
    callLastArgument(given)
    return this
  }

  override _read(): void {
    this.child.stdout?.resume()
  }

  override _write(chunk: Buffer, encoding: BufferEncoding, callback: (error?: Error | null) => void): void {
    const { stdin } = this.child
    // If the command no longer reads, drop the rest: its exit status decides whether that is a failure.
    if (stdin === null || stdin.destroyed || stdin.writableEnded) callback()
    else if (stdin.write(chunk, encoding)) callback()
    else this.#whenDrained(callback)
  }

  override _final(callback: (error?: Error | null) => void): void {
    if (!this.#hasInput) this.child.stdin?.end()
    callback()
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    if (error) catchRethrownError(this, error, () => this.#onUnhandled(error, this.child))
    // Nobody reads any more. After a success, remaining processes of the command end with the scope.
    if (!this.#hasEndedOnSuccess) void this.child.terminate()
    this.child.stdout?.destroy()
    // Leave stdin open until the command has ended: it would take the end for that of the whole input.
    callback(error)
  }

  #whenDrained(callback: () => void): void {
    const { stdin } = this.child
    const goOn = (): void => {
      stdin?.off('drain', goOn)
      stdin?.off('close', goOn)
      callback()
    }
    stdin?.once('drain', goOn)
    stdin?.once('close', goOn)
  }

  #endOnSuccess(): void {
    this.push(null)
    super.end()
    this.#hasEndedOnSuccess = true
  }

  #trackSource(source: Readable): void {
    if (source.readableEnded || source.destroyed) return
    // Not finished(): that listens to 'error', which the owner of the source has to handle.
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

  #isSuccess(code: number | null, signal: NodeJS.Signals | null): boolean {
    return code === 0 && signal === null && this.#startError === undefined
  }

  #onStdinError(error: NodeJS.ErrnoException): void {
    if (error.code !== 'EPIPE' && error.code !== 'ECONNRESET') this.destroy(error)
  }

  #failure(): SubprocessError {
    return commandFailure({
      child: this.child,
      cmd: this.#cmd,
      startError: this.#startError,
      stderr: this.#stderrTail.toString('utf8'),
      statusCode: this.#statusCode
    })
  }
}

/** Calls the callback of `write()` or `end()`, if there is one. */
function callLastArgument(given: readonly unknown[]): void {
  const callback = given.at(-1)
  if (typeof callback === 'function') process.nextTick(callback as () => void)
}
