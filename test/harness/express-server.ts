/** A real Express server of version 4 or 5, with the guard, or without it for the negative control. */

import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Readable } from 'node:stream'
import type express from 'express'
import type { Express, NextFunction, Request, Response } from 'express'
import type { Guard, RouteGuardOptions } from 'fastify-subprocess-guard'
import subprocessGuard, { type ExpressGuard } from 'fastify-subprocess-guard/express'
import { grace, type Handle, Served, type ServedSetup } from './served.js'

export class ExpressServed extends Served {
  readonly app: Express
  readonly server: Server
  readonly middleware: ExpressGuard | undefined
  #guard: Guard | undefined
  #handleError: ((error: Error, res: Response) => unknown) | undefined

  constructor(framework: typeof express, setup: ServedSetup) {
    super(setup)
    this.app = framework()
    this.server = createServer(this.app)
    const { guard, answerAfter } = setup
    if (guard !== false) {
      const say = (level: number) => (fields: object, msg: string) =>
        void this.log.push({ ...fields, msg, level })
      const logger = { info: say(30), warn: say(40), error: say(50) }
      this.middleware = subprocessGuard({ grace, drain: 0, ...guard, logger })
      this.app.use(this.middleware)
    }
    if (answerAfter !== undefined) {
      this.app.use((_req, res, next) => {
        setTimeout(() => res.status(503).end(), answerAfter)
        next()
      })
    }
    this.app.use(framework.json())
  }

  /** Resolves when it listens. */
  start(routes: (served: this) => void): Promise<this> {
    return this.startedBy(() => this.#start(routes))
  }

  async #start(routes: (served: this) => void): Promise<void> {
    this.#guard = await this.middleware?.ready
    this.get('/ping', async () => 'pong')
    routes(this)
    // Express recognizes an error handler by its four parameters.
    this.app.use((error: Error, _req: Request, res: Response, next: NextFunction) => {
      if (this.#handleError !== undefined) this.#handleError(error, res)
      else if (res.headersSent) next(error)
      else {
        const { statusCode = 500, code } = error as Error & { statusCode?: number; code?: string }
        res.status(statusCode).json({ code, message: error.message })
      }
    })
    this.server.listen(0, '127.0.0.1')
    await once(this.server, 'listening')
  }

  get guard(): Guard {
    return this.#guard as Guard
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port
  }

  route(method: string, path: string, handle: Handle, override?: RouteGuardOptions | false): void {
    const before = override === undefined ? [] : [subprocessGuard.route(override)]
    this.app[method.toLowerCase() as 'get'](path, ...before, (req, res, next) => {
      const request = {
        raw: req,
        get subprocesses() {
          return req.subprocesses
        },
        spawn: ((...args: Parameters<typeof req.spawn>) => req.spawn(...args)) as typeof req.spawn
      }
      // Express 4 does not await a promise.
      handle(request).then((answer) => give(res, answer), next)
    })
  }

  onError(handle: () => unknown): void {
    this.#handleError = handle
  }

  protected async stop(): Promise<void> {
    this.server.close()
    await this.middleware?.close()
    this.server.closeAllConnections()
  }
}

function give(res: Response, answer: unknown): void {
  // The guard may have answered already, at the deadline.
  if (res.headersSent) return
  if (answer instanceof Readable) answer.pipe(res)
  else res.send(answer)
}
