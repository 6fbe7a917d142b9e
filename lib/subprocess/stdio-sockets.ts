/** The worker's ends of a subprocess's standard streams. */

import { Socket } from 'node:net'
import { EventLoopTurns } from '../time/event-loop-turns.js'
import { isHeld } from './event-hold.js'
import { tolerate } from './rethrown-errors.js'

// How long the output of a process that has ended may stay silent before it counts as complete. What the
// process wrote is in the socket already; only somebody else who holds the other end could write more.
const silenceMs = 250
// For so many times `silenceMs` somebody else may write on, not counting what a slow reader takes to come to it.
const mostLooks = 4
// No socket holds as much: what comes after it was written after the end of the process, however slow the reader is.
const mostBytes = 64 * 1024 * 1024

/**
 * Connects in the place of a stream that the user destroyed before the subprocess was there: it gets a
 * stream that has ended. Calls back when even that fails.
 */
export function connectEnded(path: string, header: string, onError: (code?: string) => void): void {
  const socket = new Socket()
  socket.once('error', ({ code, syscall }: NodeJS.ErrnoException) => {
    onError(syscall === 'connect' ? code : undefined)
  })
  socket.connect(path)
  socket.write(header, 'latin1', () => socket.destroy())
}

// Of all streams of this worker: a thousand may end at once, with their scopes.
const ends = new EventLoopTurns()

type Callback = (error?: Error | null) => void

/**
 * A socket that may be used before it is connected. `connect()` begins by putting the stream back to its
 * first state, and what the user had ended by then would never end.
 *
 * Until it is known whether there is a subprocess, nothing that comes is shown. Output comes by another connection than the
 * word that there is a subprocess, and may be the first; the end, where the keeper has died, would look like that of a command
 * which had nothing to say.
 */
class EarlySocket extends Socket {
  #isHeaderSent = false
  /** What came early. */
  readonly #early: { readonly chunk: unknown; readonly encoding: BufferEncoding | undefined }[] = []
  /** What happened to the connection early. */
  #lost: { readonly error?: NodeJS.ErrnoException } | undefined
  #isEarly = true
  #path: string | undefined
  /** Told of it: with a code where there is no connection, without one where that may be lost. */
  onEarlyLoss: (code?: string) => void = () => {}
  /** Told of an error that a listener has passed on to nobody. */
  onPassedOn: (error: Error) => void = () => {}
  /** Called before the reader is told of the end. */
  onEnd: () => void = () => {}

  /** There is a subprocess, or there will be none: then it is for the user of the socket to end it. */
  settle(isThere: boolean): void {
    this.#isEarly = false
    if (!isThere) return
    for (const { chunk, encoding } of this.#early.splice(0)) super.push(chunk, encoding)
    if (this.#lost === undefined) return
    if (this.#lost.error === undefined) this.push(null)
    else this.destroy(this.#lost.error)
  }

  override push(chunk: unknown, encoding?: BufferEncoding): boolean {
    if (this.#isEarly) {
      if (chunk === null) this.#lose({})
      else this.#early.push({ chunk, encoding })
      // Nothing more is read until that is.
      return false
    }
    if (chunk !== null) return super.push(chunk, encoding)
    ends.add(() => {
      this.onEnd()
      // That may have closed the scope.
      if (!isHeld(this)) super.push(null)
    })
    return false
  }

  override destroy(error?: NodeJS.ErrnoException, callback?: (error?: Error) => void): this {
    const cannotConnect = error?.syscall === 'connect' && 'address' in error && error.address === this.#path
    // Or the error of another stream, which a pipeline hands on: that looks the same.
    const isDropped = error?.code === 'ECONNRESET' || error?.code === 'EPIPE'
    if (!this.#isEarly || !(cannotConnect || isDropped)) {
      if (error) tolerate(this, error, () => this.onPassedOn(error))
      return (super.destroy as (error?: Error, callback?: (error?: Error) => void) => this)(error, callback)
    }
    this.#lose({ error }, cannotConnect ? error.code : undefined)
    callback?.(error)
    return this
  }

  #lose(lost: { error?: NodeJS.ErrnoException }, code?: string): void {
    if (this.#lost !== undefined) return
    this.#lost = lost
    this.onEarlyLoss(code)
  }

  /** Whether the keeper has got the header, or will. */
  get isHeaderSent(): boolean {
    return this.#isHeaderSent
  }

  /** Connects to the keeper's socket and sends the header, past what the user may have written already. */
  connectWith(path: string, header: string): void {
    this.#path = path
    this.connect(path)
    // The stream may have been reading from another connection.
    if (this.readable) this._read(0)
    super._write(header, 'latin1', (error) => {
      this.#isHeaderSent = !error
    })
  }

  /**
   * Leaves a keeper that has not taken the connection, before another one is asked. Returns false where it cannot be made again: it
   * had failed.
   */
  leave(): boolean {
    if (this.destroyed) return true
    if (this.connecting) return false
    // There is no public way to connect anew: `destroy()` ends the stream for its reader, too.
    const parts = this as unknown as { _handle: { close(): void } | null }
    parts._handle?.close()
    parts._handle = null
    this.#isHeaderSent = false
    this.#lost = undefined
    return true
  }

  protected _undestroy(): void {}
}

/** Standard input: holds back what is written until the subprocess is there to read it. */
export class InputSocket extends EarlySocket {
  #isOpen = false
  #held: (() => void) | undefined

  constructor() {
    super({ readable: false })
  }

  /** The subprocess has the other end. */
  open(): void {
    this.#isOpen = true
    const held = this.#held
    this.#held = undefined
    held?.()
  }

  // A Writable has one of these under way at a time, so one place to hold it is enough.
  override _write(chunk: Buffer | string, encoding: BufferEncoding, callback: Callback): void {
    this.#pass(() => super._write(chunk, encoding, callback))
  }

  override _writev(chunks: Array<{ chunk: Buffer; encoding: BufferEncoding }>, callback: Callback): void {
    this.#pass(() => super._writev?.(chunks, callback))
  }

  override _final(callback: Callback): void {
    this.#pass(() => super._final(callback))
  }

  #pass(act: () => void): void {
    if (this.#isOpen) act()
    else this.#held = act
  }
}

/** Standard output or standard error. */
export class OutputSocket extends EarlySocket {
  /** There is nothing to read: no process was started. */
  endEmpty(): void {
    // One that was never connected would wait for that with the end of its other side.
    this.once('end', () => this.destroy())
    this.push(null)
    this.resume()
  }
}

/**
 * The process has ended: its output ends when what it wrote is read, even where a grandchild holds the other end, in silence
 * or not. A slow reader is waited for.
 */
export function endWhenSilent(output: Socket): void {
  if (output.closed) return
  const firstBytes = output.bytesRead
  let lastBytes = firstBytes
  let looks = 0
  const look = (): void => {
    if (output.destroyed || output.readableEnded) return
    const isRead = output.readableLength === 0
    const isSilent = output.bytesRead === lastBytes
    lastBytes = output.bytesRead
    if (isRead) looks++
    if ((isRead && (isSilent || looks >= mostLooks)) || lastBytes - firstBytes > mostBytes) {
      output.push(null)
      // The socket is destroyed when 'end' has been emitted. What comes until then is a stranger's.
      output.push = () => false
    } else timer.refresh()
  }
  // Timers come before the poll for input: after a blocked loop, give the input its turn.
  const timer = setTimeout(() => setImmediate(look), silenceMs)
  output.once('close', () => clearTimeout(timer))
}
