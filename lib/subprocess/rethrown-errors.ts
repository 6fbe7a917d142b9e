/** An error that a listener passes on to an emitter without listeners, as readline does, is no end of a server. */

import type { EventEmitter } from 'node:events'
import { override } from './override-method.js'

/**
 * Has the emitter emit this error so that what its listeners throw of it is not thrown. `onThrown` is called then: whoever has
 * passed it on has nobody who listens.
 */
export function tolerate(emitter: EventEmitter, error: Error, onThrown: () => void): void {
  const emit = emitter.emit.bind(emitter)
  const restore = override(emitter, 'emit', (...args: Parameters<EventEmitter['emit']>) => {
    const [event, given] = args
    if (event !== 'error' || given !== error) return emit(...args)
    restore()
    const listeners = emitter.rawListeners('error')
    for (const listener of listeners) {
      try {
        Reflect.apply(listener, emitter, [error])
      } catch (thrown) {
        if (thrown === error) onThrown()
        else throwLater(thrown)
      }
    }
    return listeners.length > 0
  })
}

/** Throws what a listener has thrown: it is uncaught, as with Node, and whoever emitted the event goes on. */
export function throwLater(thrown: unknown): void {
  process.nextTick(() => {
    throw thrown
  })
}
