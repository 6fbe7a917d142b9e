/** What tests need of a server, independent of its framework: routes that do something in a request. */

import { spawn as nodeSpawn } from 'node:child_process'
import type { IncomingMessage } from 'node:http'
import { fileURLToPath } from 'node:url'
import type {
  Guard,
  RouteGuardOptions,
  Scope,
  SpawnOptions,
  SubprocessGuardOptions
} from 'fastify-subprocess-guard'
import { Witness } from './witness.js'

/** The grace period between SIGTERM and SIGKILL in tests, in ms. */
export const grace = 300
/** After so many ms, no process of an ended scope may be alive: the law of `docs/faults.md`. */
export const goneMs = grace + 250

const programs = new URL('../../../test/programs/', import.meta.url)

export type LogLine = Record<string, unknown> & { msg: string; level: number }

/** A request of any framework. */
export interface GuardedRequest {
  readonly raw: IncomingMessage
  readonly subprocesses: Scope
  spawn: Scope['spawn']
}

/** The result is the response: a text, a stream or an object. An error is handled by the framework. */
export type Handle = (request: GuardedRequest) => Promise<unknown>

export interface ServedSetup {
  /** Options of the guard; false for no guard. */
  guard?: SubprocessGuardOptions | false
  /** After so many ms, the framework answers with 503 by itself and ends nothing. */
  answerAfter?: number
}

export abstract class Served {
  readonly witness = new Witness()
  readonly log: LogLine[] = []
  readonly isGuarded: boolean

  constructor({ guard }: ServedSetup) {
    this.isGuarded = guard !== false
  }

  abstract readonly guard: Guard
  abstract readonly port: number
  /** Declares a route. */
  abstract route(method: string, path: string, handle: Handle, override?: RouteGuardOptions | false): void
  /** Sets an error handler that calls this in place of an answer. */
  abstract onError(handle: () => unknown): void
  protected abstract stop(): Promise<void>

  get(path: string, handle: Handle, override?: RouteGuardOptions | false): void {
    this.route('GET', path, handle, override)
  }

  /** Runs a program of `test/programs` as a route of a guarded or of an unguarded server would. */
  run(request: GuardedRequest, program: string, args: string[] = [], options: SpawnOptions = {}) {
    const command = ['sh', [fileURLToPath(new URL(program, programs)), ...args]] as const
    const given = { stdio: 'ignore', env: this.witness.env, ...options } as const
    // Without a guard: a plain spawn.
    if (!this.isGuarded) return nodeSpawn(...command, given as never)
    return request.spawn(...command, given)
  }

  /** The log lines about closed scopes. */
  get scopeLines(): LogLine[] {
    return this.log.filter(({ msg }) => msg.startsWith('scope closed'))
  }

  /** Starts the server. If that fails, closes it, because open handles would keep the test running. */
  protected async startedBy(start: () => Promise<void>): Promise<this> {
    try {
      await start()
      return this
    } catch (error) {
      await this.close()
      throw error
    }
  }

  async close(): Promise<void> {
    await this.stop()
    this.witness.close()
  }
}
