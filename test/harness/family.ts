/** All living processes that descend from what a test has started, even daemons. */

import { randomUUID } from 'node:crypto'
import { readdirSync } from 'node:fs'
import { eventually } from './expectations.js'
import { argumentsOf, end, environmentOf, type Identity, livingOf } from './proc.js'

// A process cannot become a descendant later, but its pid may be reused by one.
const strangerForMs = 1_000

export class Family {
  /**
   * When each pid was last seen as unrelated. To read all environments every time would take a whole core.
   */
  readonly #strangers = new Map<number, number>()
  readonly #entry = `TEST_FAMILY=${randomUUID()}`

  /** The environment for the first process. Its descendants inherit it. */
  get env(): NodeJS.ProcessEnv {
    const [name, value] = this.#entry.split('=') as [string, string]
    return { ...process.env, [name]: value }
  }

  /** The living processes whose command line contains `command`. */
  living(command = ''): Identity[] {
    return readdirSync('/proc')
      .map(Number)
      .filter(
        (pid) => Number.isInteger(pid) && this.#has(pid) && argumentsOf(pid).join(' ').includes(command)
      )
      .flatMap(livingOf)
  }

  /** Resolves when no process is alive, except those whose command line contains one of `but`. */
  async gone({ but = [] }: { but?: readonly string[] } = {}): Promise<void> {
    const isLeft = ({ pid }: Identity): boolean => {
      const command = argumentsOf(pid).join(' ')
      return !but.some((text) => command.includes(text))
    }
    await eventually('all processes are gone', () => !this.living().some(isLeft))
  }

  /** Ends what a failed test has left. */
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
