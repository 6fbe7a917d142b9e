/** All living processes that come of what a test has started, however far they have gone from it. */

import { randomUUID } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { childrenOf, eventually } from './expectations.js'
import { environmentOf, statOf } from './witness.js'

/** One process, also when its number has been given out again. */
export interface Relative {
  readonly pid: number
  readonly startTick: string
}

export class Family {
  readonly #entry = `TEST_FAMILY=${randomUUID()}`

  /** For the environment of the first of them, which the others inherit. */
  get env(): NodeJS.ProcessEnv {
    const [name, value] = this.#entry.split('=') as [string, string]
    return { ...process.env, [name]: value }
  }

  /** Those whose command line contains that. */
  living(command = ''): Relative[] {
    return readdirSync('/proc')
      .map(Number)
      .filter((pid) => Number.isInteger(pid) && this.#has(pid) && commandOf(pid).includes(command))
      .flatMap((pid) => relativeOf(pid))
  }

  /** Resolves when none but those whose command line contains that is alive. */
  async gone({ but, ms }: { but?: string; ms?: number } = {}): Promise<void> {
    const left = (): Relative[] => {
      const exempt = but === undefined ? [] : this.living(but)
      return this.living().filter(({ pid }) => !exempt.some((relative) => relative.pid === pid))
    }
    await eventually('all processes are gone', () => left().length === 0, ms)
  }

  /** Ends what a test has left. */
  close(): void {
    for (const { pid } of this.living()) process.kill(pid, 'SIGKILL')
  }

  #has(pid: number): boolean {
    return environmentOf(pid).includes(this.#entry)
  }
}

/** A process and all below it. */
export function treeOf(pid: number): Relative[] {
  return [...relativeOf(pid), ...childrenOf(pid).flatMap(treeOf)]
}

export function isAlive({ pid, startTick }: Relative): boolean {
  return relativeOf(pid)[0]?.startTick === startTick
}

/** None for a process that has ended, and for a zombie. */
function relativeOf(pid: number): Relative[] {
  const stat = statOf(pid)
  return stat === undefined || stat.state === 'Z' || stat.state === 'X'
    ? []
    : [{ pid, startTick: stat.startTick }]
}

function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')
  } catch {
    // It has ended, or is another user's.
    return ''
  }
}
