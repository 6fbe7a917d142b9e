/** Runs the keeper's own work outside the asynchronous context of any request. */

import { AsyncLocalStorage } from 'node:async_hooks'

/**
 * Calls a function in the context in which this module was loaded. A request may be the first to notice that
 * a keeper is missing, but what is started then belongs to the worker: it is not captured as a child of the
 * request, and its callbacks keep no request alive.
 */
export const outsideRequests: <Result>(act: () => Result) => Result = AsyncLocalStorage.snapshot()
