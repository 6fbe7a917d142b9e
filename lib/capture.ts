/** Children that libraries create: Node tells of each, and the asynchronous context tells in whose course. */

import { AsyncLocalStorage } from 'node:async_hooks'
import type { ChildProcess } from 'node:child_process'
import { channel } from 'node:diagnostics_channel'

/** Takes a child in; throws or logs what goes wrong. */
export type Adopt = (child: ChildProcess) => void

// Published in the constructor of ChildProcess, before there is a process (nodejs.org/api/diagnostics_channel.html).
const created = channel('child_process')

let current: AsyncLocalStorage<Adopt | undefined> | undefined
let users = 0

function hear(message: unknown): void {
  const adopt = current?.getStore()
  if (adopt === undefined) return
  const { process: child } = message as { process: ChildProcess }
  // The number is known when spawn() has returned, and nobody can have reaped the process before that.
  process.nextTick(() => {
    if (child.pid !== undefined) adopt(child)
  })
}

/** Begins to listen; the function that it returns ends that, once for each begin. */
export function startCapture(): () => void {
  current ??= new AsyncLocalStorage()
  if (users++ === 0) created.subscribe(hear)
  return () => {
    if (--users === 0) created.unsubscribe(hear)
  }
}

/** Runs a function so that every child which is created in its course is given to `adopt`. */
export function captureIn<Result>(adopt: Adopt | undefined, act: () => Result): Result {
  return current === undefined ? act() : current.run(adopt, act)
}
