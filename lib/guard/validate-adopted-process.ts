/** Validates what a scope is asked to adopt: any process but those that the worker needs itself. */

import { ChildProcess } from 'node:child_process'
import { SubprocessOptionError } from '../errors.js'
import { platform } from '../platform/current.js'

/** What `adopt()` and `release()` accept: a pid, or an object with a `pid`. */
export type Adoptable = number | { readonly pid?: number | undefined }

/**
 * The pid to adopt. Undefined if `child.pid` is undefined: its process could not be started. Throws a
 * TypeError for what is no process, and for a process that must not be ended.
 */
export function adoptablePid(child: Adoptable, keepers: readonly number[]): number | undefined {
  const isObject = (typeof child === 'object' || typeof child === 'function') && child !== null
  const pid = isObject ? child.pid : child
  if (isObject && pid === undefined) return undefined
  // Never end process 1, even if the system does not show it as an ancestor of the worker.
  if (typeof pid !== 'number' || !Number.isInteger(pid) || pid <= 1) {
    throw new SubprocessOptionError('child', child, 'give a ChildProcess, or the pid of a process')
  }
  if (keepers.includes(pid))
    throw new SubprocessOptionError('child', pid, 'this is the keeper: give a process that may be ended')
  // No child is an ancestor.
  if (isRunningChild(child)) return pid
  for (
    let at: number | undefined = process.pid;
    at !== undefined && at > 0;
    at = platform.statOf(at)?.parent
  ) {
    if (at !== pid) continue
    throw new SubprocessOptionError(
      'child',
      pid,
      'this is the worker or an ancestor of it: give a process that the worker started'
    )
  }
  return pid
}

/** Whether it is a child of the worker that it has not reaped. */
export function isRunningChild(child: Adoptable): boolean {
  return child instanceof ChildProcess && child.exitCode === null && child.signalCode === null
}
