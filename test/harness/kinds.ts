/** The kinds of server on which tests run: each framework, with the keeper and with direct launch. */

import express from 'express'
import express4 from 'express4'
import { ExpressServed } from './express-server.js'
import { isTreeLevel } from './level.js'
import type { Served, ServedSetup } from './served.js'
import { Served as FastifyServed } from './server.js'

export interface Kind {
  readonly name: string
  readonly launch: 'keeper' | 'direct'
  /**
   * The close reason after the handler has thrown. Express does not report that: middleware sees a response.
   */
  readonly reasonOfThrow: 'failed' | 'finished'
  serve(setup: ServedSetup, routes: (served: Served) => void): Promise<Served>
}

type Serve = Kind['serve']

const serveFastify: Serve = (setup, routes) =>
  new FastifyServed(setup).start((_app, served) => routes(served))
const serveExpress: Serve = (setup, routes) => new ExpressServed(express, setup).start(routes)
const serveExpress4: Serve = (setup, routes) => new ExpressServed(express4, setup).start(routes)

function byDirectLaunch(serve: Serve): Serve {
  return ({ guard, ...setup }, routes) =>
    serve({ ...setup, guard: guard === false ? false : { launch: 'direct', ...guard } }, routes)
}

const all: readonly Kind[] = [
  { name: 'Fastify', launch: 'keeper', reasonOfThrow: 'failed', serve: serveFastify },
  {
    name: 'Fastify, direct launch',
    launch: 'direct',
    reasonOfThrow: 'failed',
    serve: byDirectLaunch(serveFastify)
  },
  { name: 'Express 5', launch: 'keeper', reasonOfThrow: 'finished', serve: serveExpress },
  { name: 'Express 4', launch: 'keeper', reasonOfThrow: 'finished', serve: serveExpress4 },
  {
    name: 'Express 5, direct launch',
    launch: 'direct',
    reasonOfThrow: 'finished',
    serve: byDirectLaunch(serveExpress)
  }
]

/** Nothing in the frameworks depends on the level, so that one of them does for the level `tree`. */
export const kinds = isTreeLevel ? all.filter(({ name }) => name.startsWith('Fastify')) : all
