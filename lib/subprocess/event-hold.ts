/** What the end of its scope does to commands is held back from the handler, until its request is answered. */

import { ChildProcess } from 'node:child_process'
import type { EventEmitter } from 'node:events'
import { Socket } from 'node:net'
import { Readable } from 'node:stream'
import { override } from './override-method.js'
import { throwLater, tolerate } from './rethrown-errors.js'

type Emit = EventEmitter['emit']
type Args = Parameters<Emit>

// What tells of an end, or of what has come by then. The rest is for the sockets themselves, such as 'connect'.
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
// Output that is held back is lost: what the command has written is not whole any more.
const lost = new Set<string | symbol>(['data', 'end', 'readable'])

// How long an output may wait for a reader when its scope is closed, in ms.
const abandonedAfterMs = 5_000

const heldNow = new WeakSet<EventEmitter>()

/** Whether its events are held back. */
export function isHeld(emitter: EventEmitter): boolean {
  return heldNow.has(emitter)
}

/** All commands of a scope, and their streams. Before `begin()`, each costs a place in a map. */
export class EventHold {
  readonly #emitters = new Map<EventEmitter, (() => void) | undefined>()
  #held: HeldEmitter[] = []

  /** From now on a command, with its streams, or a stream can be held. `onExit` is called at once all the same. */
  add(emitter: EventEmitter, onExit?: () => void): void {
    this.#emitters.set(emitter, onExit)
  }

  /** It has closed: there are no more events. */
  delete(emitter: EventEmitter): void {
    this.#emitters.delete(emitter)
  }

  /** Holds all events back. Output is read away from here on, so that a command which ends is not blocked by it. */
  begin(): void {
    if (this.#held.length > 0) return
    for (const [emitter, onExit] of this.#emitters) {
      const child = emitter instanceof ChildProcess ? emitter : undefined
      this.#held.push(new HeldEmitter(emitter, child, onExit))
      for (const stream of child?.stdio ?? []) if (stream) this.#held.push(new HeldEmitter(stream, child))
    }
  }

  /**
   * Ends what nobody reads any more, now that all processes are gone: a stream that is not read holds a descriptor. One of
   * which something is read every 5 s is left alone.
   */
  abandon(errorOf: () => Error): void {
    let before = this.#unread()
    if (before.size === 0) return
    const timer = setInterval(() => {
      const now = this.#unread()
      for (const [output, bytes] of now) if (before.get(output) === bytes) fail(output, errorOf)
      before = now
      if (now.size === 0) clearInterval(timer)
    }, abandonedAfterMs)
    timer.unref()
  }

  /** The outputs that have not ended, and how many bytes of each were read. */
  #unread(): Map<Socket, number> {
    const outputs = [...this.#emitters.keys()]
      .flatMap((emitter) => (emitter instanceof ChildProcess ? (emitter.stdio ?? []) : []))
      .filter((stream) => stream instanceof Socket && stream.readable) as Socket[]
    return new Map(outputs.map((output) => [output, output.bytesRead - output.readableLength]))
  }

  /** Lets the events go, in their order. Output streams that had not ended before end with the error. */
  end(errorOf: () => Error): void {
    for (const one of this.#held.splice(0)) one.release(errorOf)
  }
}

/** A command that is started by another process, and so not at once. */
interface Startable extends ChildProcess {
  readonly isStarting?: boolean
}

/** One emitter, and what it would have emitted. */
class HeldEmitter {
  readonly #emitter: EventEmitter
  readonly #child: ChildProcess | undefined
  readonly #onExit: (() => void) | undefined
  /** Whether it is a stream that is not read to its end. */
  readonly #isOutput: boolean
  readonly #events: Args[] = []
  /** How to make it as it was. */
  readonly #restore: (() => void)[] = []

  constructor(emitter: EventEmitter, child: ChildProcess | undefined, onExit?: () => void) {
    this.#emitter = emitter
    this.#child = child
    heldNow.add(emitter)
    this.#onExit = onExit
    this.#isOutput = emitter instanceof Readable && emitter.readable
    const emit = emitter.emit.bind(emitter) as Emit
    this.#restore.push(override(emitter, 'emit', (...args: Args) => this.#emit(emit, args)))
    if (!this.#isOutput || this.#isStarting) return
    this.#restore.push(override(emitter, 'push', () => true))
    this.#restore.push(override(emitter, 'read', () => null))
    // What was not read in time has filled its buffer, and nobody asks for more.
    ;(emitter as Readable)._read(0)
  }

  release(errorOf: () => Error): void {
    heldNow.delete(this.#emitter)
    for (const restore of this.#restore) restore()
    // Whoever waits for the start listens to the output only then. Nothing of it is lost yet.
    if (this.#isOutput && !this.#isStarting) fail(this.#emitter as Readable, errorOf)
    for (const args of this.#events) this.#replay(args)
  }

  #replay(args: Args): void {
    // Who listened to a stream when it happened may have stopped since. A command logs what nobody listens to.
    const isUnheard = args[0] === 'error' && this.#emitter.listenerCount('error') === 0
    if (isUnheard && this.#child !== this.#emitter) return
    try {
      this.#emitter.emit(...args)
    } catch (error) {
      throwLater(error)
    }
  }

  /** Whether its command has neither started nor failed to. */
  get #isStarting(): boolean {
    return (this.#child as Startable | undefined)?.isStarting === true
  }

  #emit(emit: Emit, args: Args): boolean {
    const [event] = args
    if (!heldEvents.has(event)) return emit(...args)
    if (event === 'exit') this.#onExit?.()
    if (!this.#isOutput || !lost.has(event)) this.#events.push(args)
    return true
  }
}

/** One that has closed meanwhile, such as one that its user has destroyed, fails all the same: it was not read to its end. */
function fail(output: Readable, errorOf: () => Error): void {
  if (output.errored !== null) return
  const error = errorOf()
  // The log tells of the scope's end.
  tolerate(output, error, () => {})
  if (output.destroyed) output.emit('error', error)
  else output.destroy(error)
}
