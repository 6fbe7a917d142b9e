/** Children that libraries create: Node tells of each, and the asynchronous context tells in whose course. */

import { AsyncLocalStorage } from 'node:async_hooks'
import type { ChildProcess } from 'node:child_process'
import { channel } from 'node:diagnostics_channel'
import type { EventEmitter } from 'node:events'

/** Takes a child in; throws or logs what goes wrong. */
export type Adopt = (child: ChildProcess) => void

// Published in the constructor of ChildProcess, before there is a process (nodejs.org/api/diagnostics_channel.html).
const created = channel('child_process')

let current: AsyncLocalStorage<Adopt | undefined> | undefined
let users = 0
/** Created in this turn, and not taken in yet. */
const awaited = new Map<ChildProcess, Adopt>()

function hear(message: unknown): void {
  const adopt = current?.getStore()
  if (adopt === undefined) return
  const { process: child } = message as { process: ChildProcess }
  awaited.set(child, adopt)
  // The number is known when spawn() has returned, and nobody can have reaped the process before that.
  process.nextTick(() => {
    take(child)
    awaited.delete(child)
  })
}

function take(child: ChildProcess): void {
  const adopt = awaited.get(child)
  if (adopt === undefined || child.pid === undefined) return
  awaited.delete(child)
  adopt(child)
}

/** Takes in at once what was created before in this turn, for whoever has to know of it. */
export function takeInAwaited(): void {
  for (const child of [...awaited.keys()]) take(child)
}

/** Begins to listen; the function that it returns ends that, once for each begin. */
export function startCapture(): () => void {
  current ??= new AsyncLocalStorage()
  if (users++ === 0) created.subscribe(hear)
  return () => {
    if (--users === 0) created.unsubscribe(hear)
  }
}

/** Runs a function so that every child which is created in its course is given to `adopt`; to nobody without it. */
export function captureIn<Result>(adopt: Adopt | undefined, act: () => Result): Result {
  return current === undefined ? act() : current.run(adopt, act)
}

/** Has listeners of a request's events run in its course. Node emits the events of a body in that of the connection. */
export function captureEvents(request: EventEmitter, inCourse: (emit: () => boolean) => boolean): void {
  const { emit } = request
  request.emit = function (...event) {
    return inCourse(() => emit.apply(this, event))
  }
}
