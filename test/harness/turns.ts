/** Commands with names that run until the test ends them: to see which ones have got a place, and in which order. */

import type { Scope, Subprocess } from 'fastify-subprocess-guard'
import { eventually } from './expectations.js'
import { commandOf } from './guarded.js'
import { end, lives } from './proc.js'
import type { Witness } from './witness.js'

const program = 'ends-as-told.sh'

export class Turns {
  readonly #witness: Witness

  constructor(witness: Witness) {
    this.#witness = witness
  }

  /** Starts a command in a scope. */
  spawn(scope: Scope, name: string, options: object = {}): Subprocess {
    const [file, args] = this.command(name)
    return scope.spawn(file, args, { stdio: 'ignore', env: this.#witness.env, ...options })
  }

  command(name: string): [file: string, args: string[]] {
    return commandOf(program, ['dies', name])
  }

  /** The names of the commands that have started, in the order of their announcements. */
  get started(): string[] {
    return this.#witness.announced.map(({ name }) => name)
  }

  /** Resolves when so many commands have started in all. */
  async untilStarted(count: number): Promise<string[]> {
    await this.#witness.present(count)
    return this.started
  }

  /** How many run now. */
  get running(): number {
    return this.#witness.living().length
  }

  pidOf(name: string): number {
    return this.#witness.announced.find((one) => one.name === name)?.pid as number
  }

  /** Ends a command that runs. */
  async end(name: string): Promise<void> {
    const pid = this.pidOf(name)
    end(pid)
    await eventually(`${name} has ended`, () => !lives(pid))
  }
}
