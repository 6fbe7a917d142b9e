/**
 * Captures children that libraries start: a diagnostics channel of Node reports each child, and the
 * asynchronous context tells in which request it was created.
 */

import { AsyncLocalStorage } from 'node:async_hooks'
import type { ChildProcess } from 'node:child_process'
import { channel } from 'node:diagnostics_channel'
import type { EventEmitter } from 'node:events'

/** Adopts a captured child. Throws, or logs, what goes wrong. */
export type Adopt = (child: ChildProcess) => void

// Published in the constructor of ChildProcess, before the process exists
// (nodejs.org/api/diagnostics_channel.html).
const created = channel('child_process')

let current: AsyncLocalStorage<Adopt | undefined> | undefined
let users = 0
/** Children that were created in this tick and are not adopted yet. */
const pending = new Map<ChildProcess, Adopt>()

function onCreated(message: unknown): void {
  const adopt = current?.getStore()
  if (adopt === undefined) return
  const { process: child } = message as { process: ChildProcess }
  pending.set(child, adopt)
  // The pid is known when spawn() has returned. The process cannot have been reaped before the next tick.
  process.nextTick(() => {
    adoptIfStarted(child)
    pending.delete(child)
  })
}

function adoptIfStarted(child: ChildProcess): void {
  const adopt = pending.get(child)
  if (adopt === undefined || child.pid === undefined) return
  pending.delete(child)
  adopt(child)
}

/** Adopts now what was created in this tick, for a caller that cannot wait for the next one. */
export function adoptPending(): void {
  for (const child of [...pending.keys()]) adoptIfStarted(child)
}

/**
 * Starts capturing. Returns a function that stops it; capturing goes on until every caller has stopped it.
 */
export function startCapture(): () => void {
  current ??= new AsyncLocalStorage()
  if (users++ === 0) created.subscribe(onCreated)
  return () => {
    if (--users === 0) created.unsubscribe(onCreated)
  }
}

/**
 * Runs a function. Every child that is created in its asynchronous context is passed to
 * `adopt`; without `adopt`, none is captured.
 */
export function captureIn<Result>(adopt: Adopt | undefined, act: () => Result): Result {
  return current === undefined ? act() : current.run(adopt, act)
}

/**
 * Runs the listeners of a request's events in the context of that request. Otherwise Node runs those of its
 * body in the context of its connection.
 */
export function captureEvents(request: EventEmitter, runInContext: (emit: () => boolean) => boolean): void {
  const { emit } = request
  request.emit = function (...event) {
    return runInContext(() => emit.apply(this, event))
  }
}
