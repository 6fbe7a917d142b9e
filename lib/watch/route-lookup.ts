/** How the route of a request is told from outside: by a function that the thread that watches finds by its name. */

/** The route of a value that is a request; undefined for whatever else. */
export type RouteLookup = (value: unknown) => string | undefined

/** Of the symbol on the global object, in the registry of all contexts. */
export const routeLookupName = 'fastify-subprocess-guard.route'

const key = Symbol.for(routeLookupName)

/**
 * Has the thread that watches ask this function. It is called while the main thread is held in the midst of
 * anything: it may only look. Returns how to take that back; a function registered since stays.
 */
export function registerRouteLookup(lookup: RouteLookup): () => void {
  // Not enumerable: nobody who lists the global object is to find it.
  Object.defineProperty(globalThis, key, { value: lookup, configurable: true, writable: true })
  return () => {
    if (Reflect.get(globalThis, key) === lookup) Reflect.deleteProperty(globalThis, key)
  }
}
