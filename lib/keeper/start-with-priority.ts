/** Starts each process with the priority of its scope. */

import type { CommandPriorities } from './command-priorities.js'
import type { StartInScope } from './process-starter.js'

export function startWithPriority(startProcess: StartInScope, priorities: CommandPriorities): StartInScope {
  return (request, events) => {
    const { priority } = request.scope
    const process = priorities.startWith(priority, () => startProcess(request, events))
    if (process !== undefined) priorities.started(process.pid, priority)
    return process
  }
}
