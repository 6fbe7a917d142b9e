/** Runs the keeper's own work outside the asynchronous context of any request. */

import { AsyncLocalStorage } from 'node:async_hooks'

/**
 * Calls a function in the asynchronous context in which this module was loaded. A request may be the first to
 * find that a keeper is missing, but the keeper belongs to the worker: it is not captured as a child of the
 * request, and its callbacks do not retain the request.
 */
export const outsideRequests: <Result>(act: () => Result) => Result = AsyncLocalStorage.snapshot()
