/** Starts each process in the cgroup of its scope, or outside if the system refuses that. */

import type { ScopeRecord } from '../containment/scope-record.js'
import { CgroupError } from '../platform/current.js'
import type { StartInScope, StartProcess } from './process-starter.js'

/**
 * `placeFor` makes the cgroup of a scope, for the first process that is started in it. A refusal is passed to
 * `warn`, once: a process outside is found as at the next lower containment level.
 */
export function startInCgroup(
  startProcess: StartProcess,
  placeFor: (scope: ScopeRecord) => string,
  warn: (error: Error) => void
): StartInScope {
  let hasWarned = false
  return (request, events) => {
    try {
      return startProcess({ ...request, cgroup: placeFor(request.scope) }, events)
    } catch (error) {
      if (!(error instanceof CgroupError)) throw error
      if (!hasWarned) warn(error)
      hasWarned = true
      return startProcess(request, events)
    }
  }
}
