/** A command or stream whose events are held back, to be emitted later. */

import type { ChildProcess } from 'node:child_process'
import type { EventEmitter } from 'node:events'
import { Readable } from 'node:stream'
import { catchRethrownError, throwInNextTick } from './catch-rethrown-error.js'
import { overrideMethod } from './override-method.js'

type Emit = EventEmitter['emit']
type Args = Parameters<Emit>

// Events that report an end, or data that came before it. Not those for the sockets, such as 'connect'.
const heldEvents = new Set<string | symbol>([
  'close',
  'data',
  'disconnect',
  'end',
  'error',
  'exit',
  'message',
  'readable'
])
// Held back output is dropped, not replayed: the stream fails, because its output is incomplete.
const droppedEvents = new Set<string | symbol>(['data', 'end', 'readable'])

const heldNow = new WeakSet<EventEmitter>()

/** Whether the emitter's events are held back. */
export function isHeld(emitter: EventEmitter): boolean {
  return heldNow.has(emitter)
}

/** A command that another process starts, and so not at once. */
interface StartingCommand extends ChildProcess {
  readonly isStarting?: boolean
}

/** Holds back the events of one emitter from its construction until `release()`. */
export class HeldEmitter {
  readonly #emitter: EventEmitter
  readonly #child: ChildProcess | undefined
  readonly #onExit: (() => void) | undefined
  /** Whether it is a readable stream that has not ended. */
  readonly #isOutput: boolean
  readonly #events: Args[] = []
  /** Each undoes one replaced method. */
  readonly #restore: (() => void)[] = []

  constructor(emitter: EventEmitter, child: ChildProcess | undefined, onExit?: () => void) {
    this.#emitter = emitter
    this.#child = child
    heldNow.add(emitter)
    this.#onExit = onExit
    this.#isOutput = emitter instanceof Readable && emitter.readable
    const emit = emitter.emit.bind(emitter) as Emit
    this.#restore.push(overrideMethod(emitter, 'emit', (...args: Args) => this.#emit(emit, args)))
    if (!this.#isOutput || this.#isStarting) return
    this.#restore.push(overrideMethod(emitter, 'push', () => true))
    this.#restore.push(overrideMethod(emitter, 'read', () => null))
    // If its buffer is full, reading has stopped, and nobody else starts it again.
    ;(emitter as Readable)._read(0)
  }

  /** Emits the held events in their order. An output that had not ended fails with the error instead. */
  release(errorOf: () => Error): void {
    heldNow.delete(this.#emitter)
    for (const restore of this.#restore) restore()
    // Code that waits for 'spawn' listens to the output only then, and nothing of it was dropped.
    if (this.#isOutput && !this.#isStarting) failOutput(this.#emitter as Readable, errorOf)
    for (const args of this.#events) this.#replay(args)
  }

  #replay(args: Args): void {
    // The listener of a stream's error may be removed by now. (A command logs an error without a listener.)
    const isUnheard = args[0] === 'error' && this.#emitter.listenerCount('error') === 0
    if (isUnheard && this.#child !== this.#emitter) return
    try {
      this.#emitter.emit(...args)
    } catch (error) {
      throwInNextTick(error)
    }
  }

  /** Whether its command has neither started nor failed to start. */
  get #isStarting(): boolean {
    return (this.#child as StartingCommand | undefined)?.isStarting === true
  }

  #emit(emit: Emit, args: Args): boolean {
    const [event] = args
    if (!heldEvents.has(event)) return emit(...args)
    if (event === 'exit') this.#onExit?.()
    if (!this.#isOutput || !droppedEvents.has(event)) this.#events.push(args)
    return true
  }
}

/**
 * Ends an output that was not read to its end with the error, also one that has closed meanwhile, for
 * example because its user destroyed it.
 */
export function failOutput(output: Readable, errorOf: () => Error): void {
  if (output.errored !== null) return
  const error = errorOf()
  // Not logged: there is a log line about the end of the scope.
  catchRethrownError(output, error, () => {})
  if (output.destroyed) output.emit('error', error)
  else output.destroy(error)
}
