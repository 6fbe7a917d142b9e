/** The options of Fastify routes, `config.subprocessGuard`: each object is validated and resolved once. */

import type { FastifyContextConfig, FastifyRequest } from 'fastify'
import {
  type ResolvedOptions,
  type ResolvedRouteOptions,
  type RouteGuardOptions,
  resolveRouteOptions
} from '../options.js'

type RouteOptions = RouteGuardOptions | false | undefined

export class FastifyRouteOptions {
  readonly #guardOptions: ResolvedOptions
  readonly #resolved = new WeakMap<object, ResolvedRouteOptions | false>()
  /** Reading the options of a route takes time in each request. False while no route can have any. */
  #mayBeSet: boolean

  /** `hasRoutes`: whether routes were declared before the guard was registered. They may have options. */
  constructor(guardOptions: ResolvedOptions, hasRoutes: boolean) {
    this.#guardOptions = guardOptions
    this.#mayBeSet = hasRoutes
  }

  /** Validates the options of a route that is being declared. Throws a TypeError for an invalid one. */
  add(config: FastifyContextConfig | undefined): void {
    const given = givenIn(config)
    this.#resolve(given)
    if (given !== undefined) this.#mayBeSet = true
  }

  /** For a request that starts; false if its route is not guarded. */
  onRequest(request: FastifyRequest): ResolvedRouteOptions | false {
    return this.#mayBeSet ? this.#resolve(givenIn(request.routeOptions.config)) : this.#guardOptions
  }

  /** For a guarded request that is under way. */
  of({ routeOptions: { config } }: FastifyRequest): ResolvedRouteOptions {
    return this.#resolve(givenIn(config)) || this.#guardOptions
  }

  #resolve(given: RouteOptions): ResolvedRouteOptions | false {
    const options = this.#guardOptions
    if (given === undefined) return options
    if (typeof given !== 'object') return resolveRouteOptions(given, options)
    let resolved = this.#resolved.get(given)
    if (resolved === undefined) {
      resolved = resolveRouteOptions(given, options)
      this.#resolved.set(given, resolved)
    }
    return resolved
  }
}

function givenIn(config: FastifyContextConfig | undefined): RouteOptions {
  return config !== undefined && Object.hasOwn(config, 'subprocessGuard') ? config.subprocessGuard : undefined
}
