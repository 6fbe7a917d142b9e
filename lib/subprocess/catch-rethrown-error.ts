/** Errors that an `'error'` listener throws again: they must not crash the server. */

import type { EventEmitter } from 'node:events'
import { overrideMethod } from './override-method.js'

/**
 * Catches the error if a listener throws it again when the emitter emits it, and calls `onRethrown`. For
 * example, `readline` re-emits the error of its input on itself, which throws if nobody listens there. Call
 * this before the error is emitted.
 */
export function catchRethrownError(emitter: EventEmitter, error: Error, onRethrown: () => void): void {
  const emit = emitter.emit.bind(emitter)
  const restore = overrideMethod(emitter, 'emit', (...args: Parameters<EventEmitter['emit']>) => {
    const [event, given] = args
    if (event !== 'error' || given !== error) return emit(...args)
    restore()
    const listeners = emitter.rawListeners('error')
    for (const listener of listeners) {
      try {
        Reflect.apply(listener, emitter, [error])
      } catch (thrown) {
        if (thrown === error) onRethrown()
        else throwInNextTick(thrown)
      }
    }
    return listeners.length > 0
  })
}

/** Throws what a listener threw as an uncaught exception, as in Node, after the emitting code has gone on. */
export function throwInNextTick(thrown: unknown): void {
  process.nextTick(() => {
    throw thrown
  })
}
