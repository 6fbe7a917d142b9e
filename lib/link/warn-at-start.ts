/** Warns, when the keeper starts to serve, about guarantees that this machine does not allow. */

import { isWeaker, whatEscapes } from '../containment-level.js'
import type { Logger } from '../log.js'
import { platform } from '../platform/current.js'
import type { KeeperLink } from './keeper-link.js'

/** Logs a containment that is not the best one of this system, and warns if the worker is process 1. */
export function warnAtStart({ containment, whyNotBest: why }: KeeperLink, log: Logger | undefined): void {
  // A reason alone: the level is the best one, and yet not what it is elsewhere.
  if (containment !== undefined && (containment !== platform.bestContainment || why !== undefined)) {
    // On Linux most servers may not write to their cgroup: that is nothing to warn about at each start.
    const level = isWeaker(containment, 'subreaper') ? 'warn' : 'info'
    const message = `subprocess containment is "${containment}": ${whatEscapes[containment]}`
    log?.[level]({ containment, why }, message)
  }
  if (process.pid === 1) {
    const consequence =
      'it becomes the parent of orphans and never reaps them; if it hangs, nothing in its container can end it, ' +
      'not even after workerTimeout'
    const wayOut = 'run an init in front of it, such as `docker run --init` or tini'
    log?.warn({}, `this worker is process 1: ${consequence}; ${wayOut}`)
  }
}
