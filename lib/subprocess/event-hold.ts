/**
 * Holds back the events of a closing scope's commands from the handler until the request is answered, so
 * that the handler does not answer with the failures that the end of its scope causes.
 */

import { ChildProcess } from 'node:child_process'
import type { EventEmitter } from 'node:events'
import { Socket } from 'node:net'
import { failOutput, HeldEmitter } from './held-emitter.js'

// How long an output may go unread after its scope has closed, in ms.
const unreadForMs = 5_000

/** All commands of a scope and their streams. Until `begin()`, each costs one map entry. */
export class EventHold {
  readonly #emitters = new Map<EventEmitter, (() => void) | undefined>()
  #held: HeldEmitter[] = []

  /**
   * Registers a command (with its standard streams) or a stream. While the command's 'exit' event is held
   * back, `onExit` is still called at once.
   */
  add(emitter: EventEmitter, onExit?: () => void): void {
    this.#emitters.set(emitter, onExit)
  }

  /** Removes a command or stream that has emitted its last event, 'close'. */
  delete(emitter: EventEmitter): void {
    this.#emitters.delete(emitter)
  }

  /**
   * Holds back all events from now on. Output is read and dropped, so that no command blocks on a full pipe.
   */
  begin(): void {
    if (this.#held.length > 0) return
    for (const [emitter, onExit] of this.#emitters) {
      const child = emitter instanceof ChildProcess ? emitter : undefined
      this.#held.push(new HeldEmitter(emitter, child, onExit))
      for (const stream of child?.stdio ?? []) if (stream) this.#held.push(new HeldEmitter(stream, child))
    }
  }

  /**
   * Call this when all processes are gone. Destroys each output of which nothing was read for 5 s: an
   * unread stream keeps a descriptor open.
   */
  destroyUnreadOutputs(errorOf: () => Error): void {
    let before = this.#unreadOutputs()
    if (before.size === 0) return
    const timer = setInterval(() => {
      const now = this.#unreadOutputs()
      for (const [output, bytes] of now) if (before.get(output) === bytes) failOutput(output, errorOf)
      before = now
      if (now.size === 0) clearInterval(timer)
    }, unreadForMs)
    timer.unref()
  }

  /** The outputs that have not ended, each with the number of bytes that its reader got. */
  #unreadOutputs(): Map<Socket, number> {
    const outputs = [...this.#emitters.keys()]
      .flatMap((emitter) => (emitter instanceof ChildProcess ? (emitter.stdio ?? []) : []))
      .filter((stream) => stream instanceof Socket && stream.readable) as Socket[]
    return new Map(outputs.map((output) => [output, output.bytesRead - output.readableLength]))
  }

  /**
   * Emits all held events in their order. Outputs that had not ended when the hold began fail with the error.
   */
  end(errorOf: () => Error): void {
    for (const one of this.#held.splice(0)) one.release(errorOf)
  }
}
