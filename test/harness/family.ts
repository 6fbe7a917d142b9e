/** All living processes that come of what a test has started, however far they have gone from it. */

import { randomUUID } from 'node:crypto'
import { readdirSync } from 'node:fs'
import { eventually } from './expectations.js'
import { argumentsOf, end, environmentOf, type Identity, livingOf } from './proc.js'

// A process does not join a family that it was not born in, but its number may be another one's later.
const strangerForMs = 1_000

export class Family {
  /** When each was seen to be none of ours. To read all environments again and again would take a core. */
  readonly #strangers = new Map<number, number>()
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

  /** Resolves when none but those whose command line contains one of those is alive. */
  async gone({ but = [] }: { but?: readonly string[] } = {}): Promise<void> {
    const isLeft = ({ pid }: Identity): boolean => {
      const command = argumentsOf(pid).join(' ')
      return !but.some((text) => command.includes(text))
    }
    await eventually('all processes are gone', () => !this.living().some(isLeft))
  }

  /** Ends what a test has left. */
  close(): void {
    for (const { pid } of this.living()) end(pid)
  }

  #has(pid: number): boolean {
    const now = performance.now()
    if (now - (this.#strangers.get(pid) ?? Number.NEGATIVE_INFINITY) < strangerForMs) return false
    const environment = environmentOf(pid)
    if (environment.includes(this.#entry)) return true
    if (environment.length > 0) this.#strangers.set(pid, now)
    return false
  }
}
