/** Finds the request that hangs: it is in some variable of the frames in which the main thread is held. */

import type { Debugger, Runtime, Session } from 'node:inspector'
import { type RouteLookup, routeLookupName } from './route-lookup.js'

// Of a deep stack the innermost, and as many of the outermost: at its foot is what the server called.
const mostFrames = 30
const mostProperties = 50
// Those of modules and of the global object hold no request.
const scopeTypes: readonly string[] = ['local', 'closure', 'block']

/**
 * The route that the lookup of the main thread tells, of the innermost frame for which it does. Nobody keeps
 * track of the request that runs: that would be paid by every request, for the one that hangs.
 */
export async function routeOf(
  session: Session,
  frames: readonly Debugger.CallFrame[]
): Promise<string | undefined> {
  const half = mostFrames / 2
  const looked = frames.length <= mostFrames ? frames : [...frames.slice(0, half), ...frames.slice(-half)]
  for (const { scopeChain, this: self } of looked) {
    const scopes = scopeChain.filter(({ type }) => scopeTypes.includes(type)).map(({ object }) => object)
    const route = await callInFrame(session, scopes, self)
    if (route !== undefined) return route
  }
  return undefined
}

/** One call for all variables of a frame. An error of one frame is no reason not to look at the next. */
function callInFrame(
  session: Session,
  scopes: readonly Runtime.RemoteObject[],
  self: Runtime.RemoteObject
): Promise<string | undefined> {
  const [first] = scopes
  if (first?.objectId === undefined) return Promise.resolve(undefined)
  const call: Runtime.CallFunctionOnParameterType = {
    objectId: first.objectId,
    functionDeclaration: String(lookAtVariables),
    arguments: [
      { value: routeLookupName },
      { value: mostProperties },
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
 * Runs in the main thread, from its text alone: nothing of this file is there. A scope is an object without
 * prototype whose properties are the variables. No getter is run.
 */
function lookAtVariables(name: string, most: number, self: unknown, ...scopes: object[]): string | undefined {
  const lookup = (globalThis as Record<symbol, unknown>)[Symbol.for(name)] as RouteLookup | undefined
  if (typeof lookup !== 'function') return undefined
  const values = [self]
  for (const scope of scopes) {
    // By `in`, since `Object.keys` asks for each variable, too, and one that has no value yet throws.
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
