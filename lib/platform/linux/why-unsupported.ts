/** Tells why the guard cannot run here, with the way out. */

import { listsOwnPids } from './all-processes.js'
import { statOf } from './process-stat.js'

/** Why this operating system is not supported. Undefined if it is. */
export function whyUnsupportedSystem(): string | undefined {
  if (process.platform === 'linux') return undefined
  return `${process.platform} is not supported: processes are found in /proc, which only Linux has; run the server on Linux, in a container if necessary`
}

/** Why no process can be found, and so none can be ended. Undefined if they can. */
export function whyUnsupported(): string | undefined {
  const why = whyUnsupportedSystem()
  if (why !== undefined || listsOwnPids()) return why
  return 'no processes are visible: /proc is missing, or is that of another PID namespace; mount it (mount -t proc proc /proc)'
}

/** Why no process at all is visible. Undefined if there are any. */
export function whyNoProcessIsVisible(): string | undefined {
  return statOf(process.pid) === undefined ? 'there is no /proc here' : undefined
}
