/** How many commands of a guard run, and how many wait for their place. */

import type { LaunchPlaces } from './launch-places.js'
import type { Scope } from './scope.js'

/** How busy a guard is at this moment. */
export interface GuardLoad {
  /**
   * How many commands run or are being started, of all requests and jobs. With `limits.concurrency` of the server,
   * these are the places that are taken.
   */
  readonly running: number
  /** How many commands wait for their place. 0 without `limits.concurrency`. */
  readonly waiting: number
}

/** `places`: undefined if no scope has had limits. */
export function loadOf(scopes: Iterable<Scope>, places: LaunchPlaces | undefined): GuardLoad {
  const waiting = places?.waiting ?? 0
  if (places?.hasLimit) return { running: places.running, waiting }
  // Commands without limits have no place. They are counted here, so that their launch need not do it.
  let running = 0
  for (const scope of scopes) running += scope.runningCommands
  return { running, waiting }
}
