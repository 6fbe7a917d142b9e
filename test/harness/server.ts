/** A real Fastify server, with the guard, or without it for the negative control. */

import type { AddressInfo } from 'node:net'
import Fastify, { type FastifyInstance, type FastifyRequest } from 'fastify'
import subprocessGuard, { type Guard, type RouteGuardOptions } from 'fastify-subprocess-guard'
import { ask } from './client.js'
import { grace, type Handle, Served as ServedBase, type ServedSetup } from './served.js'

export { goneMs, grace, type LogLine } from './served.js'

export interface Setup extends ServedSetup {
  plugin?: typeof subprocessGuard
  /** Options of Fastify. */
  server?: object
}

export class Served extends ServedBase {
  readonly app: FastifyInstance
  readonly #setup: Setup
  #task: (request: FastifyRequest) => Promise<unknown> = async () => {}

  constructor(setup: Setup) {
    super(setup)
    this.#setup = setup
    const stream = { write: (line: string) => void this.log.push(JSON.parse(line)) }
    // Without a guard, a hanging handler would keep its server from closing forever.
    const closing = this.isGuarded ? {} : { forceCloseConnections: true }
    const answering = setup.answerAfter === undefined ? {} : { handlerTimeout: setup.answerAfter }
    const options = { logger: { level: 'info', stream }, ...closing, ...answering, ...setup.server }
    this.app = Fastify(options) as never
  }

  /** Resolves when the server listens. */
  start(routes: (app: FastifyInstance, served: Served) => void): Promise<this> {
    return this.startedBy(() => this.#start(routes))
  }

  async #start(routes: (app: FastifyInstance, served: Served) => void): Promise<void> {
    const { guard, plugin = subprocessGuard } = this.#setup
    if (guard !== false) await this.app.register(plugin, { grace, drain: 0, ...guard })
    this.app.get('/ping', async () => 'pong')
    this.app.get('/task', async (request) => {
      await this.#task(request)
      return 'done'
    })
    routes(this.app, this)
    await this.app.listen({ port: 0, host: '127.0.0.1' })
  }

  get guard(): Guard {
    return this.app.subprocessGuard
  }

  get port(): number {
    return (this.app.server.address() as AddressInfo).port
  }

  route(method: string, url: string, handler: Handle, override?: RouteGuardOptions | false): void {
    const config = override === undefined ? {} : { subprocessGuard: override }
    this.app.route({ method, url, config, handler })
  }

  onError(handle: () => unknown): void {
    this.app.setErrorHandler(handle)
  }

  /**
   * Runs a task inside a request. Resolves with its result when the
   * request is answered; rejects as the task does.
   */
  async inRequest<Result>(task: (request: FastifyRequest) => Promise<Result>): Promise<Result> {
    let handled: Promise<Result> | undefined
    this.#task = (request) => {
      handled = task(request)
      return handled
    }
    await ask(this.port, '/task').answer
    return handled as Promise<Result>
  }

  protected async stop(): Promise<void> {
    await this.app.close()
  }
}

export async function serve(
  setup: Setup,
  routes: (app: FastifyInstance, served: Served) => void
): Promise<Served> {
  return new Served(setup).start(routes)
}
