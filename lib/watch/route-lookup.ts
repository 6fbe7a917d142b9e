/**
 * Registers the function that returns the route of a request, where the watch thread finds it: on the global
 * object.
 */

/** Returns the route of a value that is a request, else undefined. */
export type RouteLookup = (value: unknown) => string | undefined

/** The key of the global symbol (`Symbol.for`) under which the lookup is stored. */
export const routeLookupName = 'fastify-subprocess-guard.route'

const key = Symbol.for(routeLookupName)

/**
 * Makes this function the lookup. It is called while the main thread is paused at any point of its code, so
 * it must have no side effects. Returns a function that removes the lookup, unless another one was registered
 * since.
 */
export function registerRouteLookup(lookup: RouteLookup): () => void {
  // Not enumerable: code that lists the properties of the global object must not find it.
  Object.defineProperty(globalThis, key, { value: lookup, configurable: true, writable: true })
  return () => {
    if (Reflect.get(globalThis, key) === lookup) Reflect.deleteProperty(globalThis, key)
  }
}
