/** A guard without a framework, its log lines, and the programs that a test starts in it. */

import { type ChildProcess, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import {
  createGuard,
  type Guard,
  type GuardOptions,
  type Scope,
  type SpawnOptions,
  type Subprocess
} from 'fastify-subprocess-guard'
import { grace } from './server.js'
import { Witness } from './witness.js'

const programs = new URL('../../../test/programs/', import.meta.url)

export interface Said {
  readonly level: 'info' | 'warn' | 'error'
  readonly message: string
  readonly fields: Record<string, unknown>
}

export class Guarded {
  readonly guard: Guard
  readonly said: Said[]
  readonly witness = new Witness()

  /** `create` is the `createGuard` of another copy of the package, for tests that have one. */
  static async start(options: GuardOptions = {}, create = createGuard): Promise<Guarded> {
    const said: Said[] = []
    const hear = (level: Said['level']) => (fields: object, message: string) =>
      void said.push({ level, message, fields: fields as Said['fields'] })
    const logger = { info: hear('info'), warn: hear('warn'), error: hear('error') }
    return new Guarded(await create({ grace, logger, ...options }), said)
  }

  private constructor(guard: Guard, said: Said[]) {
    this.guard = guard
    this.said = said
  }

  /** The lines whose message contains that text. */
  lines(message: string): Said[] {
    return this.said.filter((line) => line.message.includes(message))
  }

  /** Runs a program of `test/programs` in a scope. */
  run(scope: Scope, program: string, args: string[] = [], options: SpawnOptions = {}): Subprocess {
    const given = { stdio: 'ignore', env: this.witness.env, ...options } as const
    return scope.spawn(...commandOf(program, args), given)
  }

  /** Starts a program as a library would that knows no scope. */
  runApart(program: string, args: string[] = []): ChildProcess {
    return spawn(...commandOf(program, args), { stdio: 'ignore', env: this.witness.env })
  }

  async close(): Promise<void> {
    await this.guard.close()
    this.witness.close()
  }
}

/** The command line of a program of `test/programs`. */
export function commandOf(program: string, args: string[] = []): [command: string, args: string[]] {
  return ['sh', [fileURLToPath(new URL(program, programs)), ...args]]
}
