/**
 * The sockets `stdin`, `stdout` and `stderr` of a keeper's subprocess, usable before the process has started.
 */

import { EventLoopTurns } from '../time/event-loop-turns.js'
import { catchRethrownError } from './catch-rethrown-error.js'
import { isHeld } from './held-emitter.js'
import { RelayedSocket } from './relayed-socket.js'

// Shared by all streams of this worker: a thousand scopes may end at once, and with them their streams.
const ends = new EventLoopTurns()

type Callback = (error?: Error | null) => void

/**
 * A socket that its user may use before it is connected.
 *
 * Until it is known whether the command has started, it buffers whatever comes from the connection. The
 * output and the message that the command has started come by different connections, so the output may be
 * first. And if the keeper dies, the connection ends as if the command had written nothing.
 */
class BufferedSocket extends RelayedSocket {
  #isHeaderSent = false
  /** Chunks that came before the start was known. */
  readonly #buffered: { readonly chunk: unknown; readonly encoding: BufferEncoding | undefined }[] = []
  /** The end or the error of the connection, if that came before the start was known. */
  #bufferedEnd: { readonly error?: NodeJS.ErrnoException } | undefined
  #isBuffering = true
  #path: string | undefined
  /**
   * Called when the connection ends or fails while it is not known whether the command has started: with a
   * code if it could not be connected, without one if the connection may have been lost.
   */
  onEarlyLoss: (code?: string) => void = () => {}
  /** Called with an error that a listener of `'error'` has thrown again. */
  onRethrownError: (error: Error) => void = () => {}
  /** Called when the stream has ended. The reader gets the end when the returned promise has resolved. */
  heardAll: () => Promise<void> | undefined = () => undefined
  /** Called before the reader gets the end of the stream. */
  beforeEnd: () => void = () => {}

  /** The command has not started: from now on, the socket is an ordinary one. */
  stopBuffering(): void {
    this.#isBuffering = false
  }

  /** The command has started: the reader gets what was buffered. */
  flush(): void {
    this.#isBuffering = false
    for (const { chunk, encoding } of this.#buffered.splice(0)) super.push(chunk, encoding)
    if (this.#bufferedEnd === undefined) return
    if (this.#bufferedEnd.error === undefined) this.push(null)
    else this.destroy(this.#bufferedEnd.error)
  }

  override push(chunk: unknown, encoding?: BufferEncoding): boolean {
    if (this.#isBuffering) {
      if (chunk === null) this.#bufferEnd({})
      else this.#buffered.push({ chunk, encoding })
      // Stops reading from the connection.
      return false
    }
    if (chunk !== null) return super.push(chunk, encoding)
    const end = (): void => {
      this.beforeEnd()
      // That may have closed the scope, which then holds back the events.
      if (!isHeld(this)) super.push(null)
    }
    const heard = this.heardAll()
    if (heard === undefined) ends.add(end)
    else void heard.then(() => ends.add(end))
    return false
  }

  override destroy(error?: NodeJS.ErrnoException, callback?: (error?: Error) => void): this {
    const cannotConnect = error?.syscall === 'connect' && 'address' in error && error.address === this.#path
    // It may also be the error of another stream, which a pipeline passes on: the two look the same.
    const isConnectionLost = error?.code === 'ECONNRESET' || error?.code === 'EPIPE'
    if (!this.#isBuffering || !(cannotConnect || isConnectionLost)) {
      if (error) catchRethrownError(this, error, () => this.onRethrownError(error))
      return (super.destroy as (error?: Error, callback?: (error?: Error) => void) => this)(error, callback)
    }
    this.#bufferEnd({ error }, cannotConnect ? error.code : undefined)
    callback?.(error)
    return this
  }

  #bufferEnd(end: { error?: NodeJS.ErrnoException }, code?: string): void {
    if (this.#bufferedEnd !== undefined) return
    this.#bufferedEnd = end
    this.onEarlyLoss(code)
  }

  /** Whether the header is written, so that the keeper has it or will get it. */
  get isHeaderSent(): boolean {
    return this.#isHeaderSent
  }

  /**
   * Connects to the keeper's socket and sends the header, ahead of what the user may have written already.
   */
  connectWith(path: string, header: string): void {
    this.#connect(path)
    super._write(header, 'latin1', (error) => {
      this.#isHeaderSent = !error
    })
  }

  /** Connects to the pipe that the keeper has made for this stream alone. */
  connectToPipe(path: string, onConnected: () => void): void {
    this.#connect(path)
    let isReported = false
    const report = (): void => {
      if (!isReported) onConnected()
      isReported = true
    }
    // A stream that is destroyed meanwhile has been connected, too: connecting opens the pipe at once.
    this.once('connect', report).once('close', report)
  }

  /**
   * Closes the connection to a keeper that refused the launch, so that `connectWith()` can connect to the
   * next keeper. Returns false if that is impossible because connecting has failed.
   */
  resetConnection(): boolean {
    if (this.destroyed) return true
    if (this.connecting) return false
    // Node has no public way to connect again: `destroy()` ends the stream for its reader too.
    const parts = this as unknown as { _handle: { close(): void } | null }
    parts._handle?.close()
    parts._handle = null
    this.#isHeaderSent = false
    this.#bufferedEnd = undefined
    return true
  }

  #connect(path: string): void {
    this.#path = path
    this.connect(path)
    // After resetConnection(), the stream may still wait for data of the previous connection.
    if (this.readable) this._read(0)
  }

  /** `connect()` calls it to reset the stream. A reset stream that the user has ended would never end. */
  protected _undestroy(): void {}
}

/** Standard input: holds back what the user writes until the command has started. */
export class InputSocket extends BufferedSocket {
  #isOpen = false
  #heldWrite: (() => void) | undefined

  constructor() {
    super({ readable: false })
  }

  /** The command has started, and the connection is its standard input: writes what was held back. */
  open(): void {
    this.#isOpen = true
    const write = this.#heldWrite
    this.#heldWrite = undefined
    write?.()
  }

  // A Writable calls one of these three at a time, so there is at most one to hold back.
  override _write(chunk: Buffer | string, encoding: BufferEncoding, callback: Callback): void {
    this.#whenOpen(() => super._write(chunk, encoding, callback))
  }

  override _writev(chunks: Array<{ chunk: Buffer; encoding: BufferEncoding }>, callback: Callback): void {
    this.#whenOpen(() => super._writev?.(chunks, callback))
  }

  override _final(callback: Callback): void {
    this.#whenOpen(() => super._final(callback))
  }

  #whenOpen(write: () => void): void {
    if (this.#isOpen) write()
    else this.#heldWrite = write
  }
}

/** Standard output or standard error. */
export class OutputSocket extends BufferedSocket {
  /** Ends it without data: the command has not started. */
  endEmpty(): void {
    // A socket that was never connected would wait for a connection before its writable side ends.
    this.once('end', () => this.destroy())
    this.push(null)
    this.resume()
  }
}
