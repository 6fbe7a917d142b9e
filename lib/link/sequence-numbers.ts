/** Numbers for scopes, requests and connections: unique among all keepers that this worker ever has. */

import { watchConnection } from '../wire/connection-header.js'
import { workerScope } from '../wire/mark.js'

// The worker finds the processes of a lost keeper by the marks of their scopes. The next keeper must not use
// these marks again.
let lastScope = workerScope
// One scope may have commands at two keepers.
let lastRequest = 0
let lastConnection = watchConnection

export function nextScopeNumber(): number {
  return ++lastScope
}

/** The id of a request to the keeper. The id of a launch is also the number of its command. */
export function nextRequestId(): number {
  return ++lastRequest
}

/** A number for a command that the keeper does not start. */
export function nextCommandNumber(): number {
  return nextRequestId()
}

export function nextConnectionNumber(): number {
  return ++lastConnection
}
