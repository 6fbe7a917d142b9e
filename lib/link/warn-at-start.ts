/** Warns, when the keeper starts to serve, about guarantees that this machine does not allow. */

import type { Logger } from '../log.js'
import type { KeeperLink } from './keeper-link.js'

/** Warns if the containment is below `subreaper`, and if the worker is process 1. */
export function warnAtStart({ containment, whyNoSubreaper: why }: KeeperLink, log: Logger | undefined): void {
  if (containment !== 'subreaper') {
    const consequence = 'a daemon that leaves its session and empties its environment can escape'
    log?.warn({ containment, why }, `subprocess containment is "${containment}": ${consequence}`)
  }
  if (process.pid === 1) {
    const consequence =
      'it becomes the parent of orphans and never reaps them; if it hangs, nothing in its container can end it, ' +
      'not even after workerTimeout'
    const wayOut = 'run an init in front of it, such as `docker run --init` or tini'
    log?.warn({}, `this worker is process 1: ${consequence}; ${wayOut}`)
  }
}
