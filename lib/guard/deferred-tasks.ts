/** Runs the functions that `scope.defer()` has put off until the end of the scope. */

import pTimeout from 'p-timeout'
import type { Logger } from '../log.js'

/** A function passed to `scope.defer()`. */
export type DeferredTask = () => unknown

// A scope does not wait longer than this for one deferred function.
const deferredMs = 10_000

/** Runs and removes all tasks, the last one first. A task may defer further ones. */
export async function runDeferredTasks(tasks: DeferredTask[], log: Logger, scope: string): Promise<void> {
  for (let task = tasks.pop(); task !== undefined; task = tasks.pop()) await runDeferredTask(task, log, scope)
}

/** Runs one task. Never rejects: an error or a timeout is logged. */
export async function runDeferredTask(task: DeferredTask, log: Logger, scope: string): Promise<void> {
  try {
    const message = `it did not end within ${deferredMs} ms`
    await pTimeout(Promise.resolve().then(task), { milliseconds: deferredMs, message })
  } catch (err) {
    log.error({ err, scope }, 'a deferred function failed')
  }
}
