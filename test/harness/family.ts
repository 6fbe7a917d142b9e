/** All living processes that come of what a test has started, however far they have gone from it. */

import { randomUUID } from 'node:crypto'
import { readdirSync } from 'node:fs'
import { eventually } from './expectations.js'
import { argumentsOf, end, environmentOf, type Identity, livingOf } from './proc.js'

export class Family {
  readonly #entry = `TEST_FAMILY=${randomUUID()}`

  /** For the environment of the first of them, which the others inherit. */
  get env(): NodeJS.ProcessEnv {
    const [name, value] = this.#entry.split('=') as [string, string]
    return { ...process.env, [name]: value }
  }

  /** Those whose command line contains that. */
  living(command = ''): Identity[] {
    return readdirSync('/proc')
      .map(Number)
      .filter(
        (pid) => Number.isInteger(pid) && this.#has(pid) && argumentsOf(pid).join(' ').includes(command)
      )
      .flatMap(livingOf)
  }

  /** Resolves when none but those whose command line contains that is alive. */
  async gone({ but, ms }: { but?: string; ms?: number } = {}): Promise<void> {
    const left = (): Identity[] => {
      const exempt = but === undefined ? [] : this.living(but)
      return this.living().filter(({ pid }) => !exempt.some((one) => one.pid === pid))
    }
    await eventually('all processes are gone', () => left().length === 0, ms)
  }

  /** Ends what a test has left. */
  close(): void {
    for (const { pid } of this.living()) end(pid)
  }

  #has(pid: number): boolean {
    return environmentOf(pid).includes(this.#entry)
  }
}
