/**
 * Finds the route of the request that blocks the main thread: the request is in a variable of some stack
 * frame.
 */

import type { Debugger, Runtime, Session } from 'node:inspector'
import { type RouteLookup, routeLookupName } from './route-lookup.js'

// Of a deep stack, the innermost 15 and the outermost 15 frames are searched: in the latter the server calls
// the handler.
const maxFrames = 30
const maxVariables = 50
// The scopes of modules and of the global object hold no request.
const scopeTypes: readonly string[] = ['local', 'closure', 'block']

/**
 * The route of the innermost frame that has a request among its variables. This searches after the fact: to
 * keep track of the current request would cost every request, for the sake of the one that hangs.
 */
export async function routeOf(
  session: Session,
  frames: readonly Debugger.CallFrame[]
): Promise<string | undefined> {
  const half = maxFrames / 2
  const searched = frames.length <= maxFrames ? frames : [...frames.slice(0, half), ...frames.slice(-half)]
  for (const { scopeChain, this: self } of searched) {
    const scopes = scopeChain.filter(({ type }) => scopeTypes.includes(type)).map(({ object }) => object)
    const route = await searchFrame(session, scopes, self)
    if (route !== undefined) return route
  }
  return undefined
}

/**
 * Searches all variables of a frame by one call. An error counts as no route: the next frame is searched all
 * the same.
 */
function searchFrame(
  session: Session,
  scopes: readonly Runtime.RemoteObject[],
  self: Runtime.RemoteObject
): Promise<string | undefined> {
  const [first] = scopes
  if (first?.objectId === undefined) return Promise.resolve(undefined)
  const call: Runtime.CallFunctionOnParameterType = {
    objectId: first.objectId,
    functionDeclaration: String(searchVariables),
    arguments: [
      { value: routeLookupName },
      { value: maxVariables },
      argumentOf(self),
      ...scopes.map(argumentOf)
    ],
    returnByValue: true,
    silent: true
  }
  return new Promise((resolve) => {
    session.post('Runtime.callFunctionOn', call, (_error, answer) => {
      const value: unknown = answer?.result?.value
      resolve(typeof value === 'string' ? value : undefined)
    })
  })
}

function argumentOf({ objectId }: Runtime.RemoteObject): Runtime.CallArgument {
  return objectId === undefined ? {} : { objectId }
}

/**
 * Runs in the main thread, which gets only the text of this function: nothing else of this file exists there.
 * A scope is an object without a prototype whose properties are the variables. No getter is called.
 */
function searchVariables(name: string, most: number, self: unknown, ...scopes: object[]): string | undefined {
  const lookup = (globalThis as Record<symbol, unknown>)[Symbol.for(name)] as RouteLookup | undefined
  if (typeof lookup !== 'function') return undefined
  const values = [self]
  for (const scope of scopes) {
    // `in` instead of `Object.keys`, which reads every variable and throws for one that is not initialised
    // yet.
    let left = most
    for (const variable in scope) {
      if (left-- === 0) break
      try {
        values.push(Object.getOwnPropertyDescriptor(scope, variable)?.value)
      } catch {
        // Not initialised yet: it holds nothing.
      }
    }
  }
  for (const value of values) {
    if (typeof value !== 'object' || value === null) continue
    const route = lookup(value)
    if (typeof route === 'string') return route
  }
  return undefined
}
