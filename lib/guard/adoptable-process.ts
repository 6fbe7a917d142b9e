/** What a scope can take in: any process but those that the worker needs. */

import { SubprocessOptionError } from '../errors.js'
import { statOf } from '../platform/current.js'

/** What `adopt` takes: a process id, or something that has one. */
export type Adoptable = number | { readonly pid?: number | undefined }

/** The process to adopt; undefined where none was started. Throws a TypeError for one that must not be ended. */
export function adoptablePid(child: Adoptable, keepers: readonly number[]): number | undefined {
  const isObject = (typeof child === 'object' || typeof child === 'function') && child !== null
  const pid = isObject ? child.pid : child
  if (isObject && pid === undefined) return undefined
  // Number 1 is nobody's to end, even where /proc does not show that the worker descends from it.
  if (typeof pid !== 'number' || !Number.isInteger(pid) || pid <= 1) {
    throw new SubprocessOptionError('child', child, 'give a ChildProcess, or the id of a process')
  }
  if (keepers.includes(pid))
    throw new SubprocessOptionError('child', pid, 'that is the keeper: give a process to be ended')
  for (let at: number | undefined = process.pid; at !== undefined && at > 0; at = statOf(at)?.parent) {
    if (at !== pid) continue
    throw new SubprocessOptionError(
      'child',
      pid,
      'the worker runs in it: give a process that the worker started'
    )
  }
  return pid
}
