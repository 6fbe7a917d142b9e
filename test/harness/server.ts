/** A real Fastify server with the guard on, or off for the negative control, and what a test asks of it. */

import { spawn as nodeSpawn } from 'node:child_process'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import Fastify, { type FastifyInstance, type FastifyRequest } from 'fastify'
import subprocessGuard, { type SpawnOptions, type SubprocessGuardOptions } from 'fastify-subprocess-guard'
import { ask } from './client.js'
import { Witness } from './witness.js'

/** Time between SIGTERM and SIGKILL in tests, in ms. */
export const grace = 300
/** Within so many ms of its end, nothing of a scope may be alive: the law of `FAULTS`. */
export const goneMs = grace + 250

const programs = new URL('../../../test/programs/', import.meta.url)

export type LogLine = Record<string, unknown> & { msg: string; level: number }

export interface Setup {
  /** Options of the guard; false for none. */
  guard?: SubprocessGuardOptions | false
  plugin?: typeof subprocessGuard
  /** Options of Fastify. */
  server?: object
}

export class Served {
  readonly app: FastifyInstance
  readonly witness = new Witness()
  readonly log: LogLine[] = []
  readonly isGuarded: boolean
  readonly #setup: Setup
  #task: (request: FastifyRequest) => Promise<unknown> = async () => {}

  constructor(setup: Setup) {
    this.#setup = setup
    this.isGuarded = setup.guard !== false
    const stream = { write: (line: string) => void this.log.push(JSON.parse(line)) }
    // Without a guard a handler that hangs would hold up the end of its server for ever.
    const closing = this.isGuarded ? {} : { forceCloseConnections: true }
    this.app = Fastify({ logger: { level: 'info', stream }, ...closing, ...setup.server }) as never
  }

  async start(routes: (app: FastifyInstance, served: Served) => void): Promise<this> {
    const { guard, plugin = subprocessGuard } = this.#setup
    if (guard !== false) await this.app.register(plugin, { grace, drain: 0, ...guard })
    this.app.get('/ping', async () => 'pong')
    this.app.get('/task', async (request) => {
      await this.#task(request)
      return 'done'
    })
    routes(this.app, this)
    await this.app.listen({ port: 0, host: '127.0.0.1' })
    return this
  }

  get port(): number {
    return (this.app.server.address() as AddressInfo).port
  }

  /** Does something inside a request, and resolves when that has its answer. Rejects as the handler does. */
  async inRequest<Result>(task: (request: FastifyRequest) => Promise<Result>): Promise<Result> {
    let handled: Promise<Result> | undefined
    this.#task = (request) => {
      handled = task(request)
      return handled
    }
    await ask(this.port, '/task').answer
    return handled as Promise<Result>
  }

  /** Runs a program of `test/programs` as the route of a guarded, or of an unguarded server would. */
  run(request: FastifyRequest, program: string, args: string[] = [], options: SpawnOptions = {}) {
    const command = ['sh', [fileURLToPath(new URL(program, programs)), ...args]] as const
    const given = { stdio: 'ignore', env: this.witness.env, ...options } as const
    // Without a guard: the same as its keeper does, short of the keeper.
    if (!this.isGuarded) return nodeSpawn(...command, given as never)
    return request.spawn(...command, given)
  }

  /** What the guard has said of scopes that it closed. */
  get scopeLines(): LogLine[] {
    return this.log.filter(({ msg }) => msg.startsWith('scope closed'))
  }

  async close(): Promise<void> {
    await this.app.close()
    this.witness.close()
  }
}

export async function serve(
  setup: Setup,
  routes: (app: FastifyInstance, served: Served) => void
): Promise<Served> {
  return new Served(setup).start(routes)
}
