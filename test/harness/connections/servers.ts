/**
 * The servers for generated connections: one per framework and protocol,
 * with a route for each kind and deadline.
 */

import type { Server, Socket } from 'node:net'
import websocket from '@fastify/websocket'
import express from 'express'
import type { FastifyInstance } from 'fastify'
import type { RouteGuardOptions } from 'fastify-subprocess-guard'
import subprocessGuard from 'fastify-subprocess-guard/express'
import { distantMs } from '../deadlines.js'
import { ExpressServed } from '../express-server.js'
import type { GuardedRequest, Served } from '../served.js'
import { serve } from '../server.js'
import type { HandlerProgress } from './handler-progress.js'
import type { ServerName } from './plan.js'
import { type Deadline, deadlines, type Kind, kinds } from './requests.js'
import { acts, Handled, rawActs, routeOf } from './routes.js'

/** `passDeadlines` lets only `soon` pass. */
const optionsOf: Record<Deadline, RouteGuardOptions> = {
  soon: { timeout: distantMs },
  distant: { timeout: 2 * distantMs },
  none: { timeout: false }
}

export class Servers {
  /** The handlers of the connections that run now. */
  progress!: HandlerProgress
  readonly all = {} as Record<ServerName, Served>
  readonly #connections = new Set<Socket>()

  static async start(): Promise<Servers> {
    const servers = new Servers()
    const withFastify = async (name: ServerName, server: object): Promise<void> => {
      const served = await serve({ server }, (app) => servers.#addToFastify(app))
      servers.#add(name, served, served.app.server)
    }
    await withFastify('Fastify', {})
    // Node keeps a closed session in memory until its timeout has passed, by default 72 s.
    await withFastify('Fastify, HTTP/2', { http2: true, http2SessionTimeout: 0 })
    const served = await new ExpressServed(express, {}).start((served) => servers.#addToExpress(served))
    servers.#add('Express 5', served, served.server)
    return servers
  }

  /** The number of open connections. */
  get connections(): number {
    return this.#connections.size
  }

  /** Destroys all open connections. */
  cutConnections(): void {
    for (const socket of this.#connections) socket.destroy()
  }

  async close(): Promise<void> {
    await Promise.all(Object.values(this.all).map((served) => served.close()))
  }

  #add(name: ServerName, served: Served, server: Server): void {
    this.all[name] = served
    server.on('connection', (socket) => {
      this.#connections.add(socket)
      socket.once('close', () => this.#connections.delete(socket))
    })
  }

  #addToFastify(app: FastifyInstance): void {
    // Gives the handler the body as it arrives.
    app.addContentTypeParser('application/octet-stream', (_request, _payload, done) => done(null))
    app.register(websocket)
    app.register(async (app) => {
      for (const [kind, deadline] of routes()) {
        const url = routeOf(kind, deadline)
        const config = { subprocessGuard: optionsOf[deadline] }
        if (kind === 'socket') {
          app.get(url, { websocket: true, config }, (socket, request) => {
            // Invalid frames cause an error too.
            socket.on('error', () => {})
            const handled = this.#handled(request, deadline)
            const start = async (): Promise<void> => {
              await handled.startWitnessed()
              handled.begun()
            }
            handled.run(start).catch(() => {})
          })
        } else if (isRaw(kind)) {
          app.get(url, { config }, (request, reply) => {
            reply.hijack()
            const handled = this.#handled(request, deadline)
            // A rejection means that its request is over.
            handled.run(() => rawActs[kind](handled, reply.raw)).catch(() => {})
          })
        } else {
          app.route({
            method: ['GET', 'POST'],
            url,
            config,
            handler: (request) => this.#act(kind, this.#handled(request, deadline))
          })
        }
      }
    })
  }

  #addToExpress(served: ExpressServed): void {
    // In this mode Express prints no errors.
    served.app.set('env', 'test')
    for (const [kind, deadline] of routes()) {
      if (kind === 'socket') continue
      const path = routeOf(kind, deadline)
      const options = optionsOf[deadline]
      if (isRaw(kind)) {
        served.app.get(path, subprocessGuard.route(options), (request, response) => {
          const handled = this.#handled(guardedOf(request), deadline)
          handled.run(() => rawActs[kind](handled, response)).catch(() => {})
        })
        continue
      }
      for (const method of ['GET', 'POST']) {
        const handle = (request: GuardedRequest) => this.#actOrHang(kind, this.#handled(request, deadline))
        served.route(method, path, handle, options)
      }
    }
  }

  #act(kind: keyof typeof acts, handled: Handled): Promise<unknown> {
    return handled.run(() => acts[kind](handled))
  }

  /**
   * If a handler throws after its request was answered, Express's default error handler destroys the
   * connection, with everything else on it. So hang instead.
   */
  async #actOrHang(kind: keyof typeof acts, handled: Handled): Promise<unknown> {
    try {
      return await this.#act(kind, handled)
    } catch (error) {
      if (handled.isOver) return new Promise(() => {})
      throw error
    }
  }

  #handled(request: GuardedRequest, deadline: Deadline): Handled {
    return new Handled(request, this.progress, deadline)
  }
}

function* routes(): Generator<[Kind, Deadline]> {
  for (const kind of kinds) for (const deadline of deadlines) yield [kind, deadline]
}

function isRaw(kind: Kind): kind is keyof typeof rawActs {
  return kind in rawActs
}

/** Gets the scope lazily, because that opens it. */
function guardedOf(request: express.Request): GuardedRequest {
  return {
    raw: request,
    get subprocesses() {
      return request.subprocesses
    },
    spawn: ((...args: Parameters<typeof request.spawn>) => request.spawn(...args)) as typeof request.spawn
  }
}
