/**
 * One output of ps about all processes, parsed. It serves for the rest of the turn of the event loop, so that there is
 * never one ps for each process, and for 100 ms at most, or ten times as long as it took. No pid is reused within that
 * time: all other numbers come first, and these are tens of thousands.
 */

import { runPs, runPsAside } from './run-ps.js'

const longestUseMs = 100

export class PsReading<Value> {
  readonly #args: readonly string[]
  readonly #parse: (output: string) => Value
  #value: Value | undefined
  #freshUntil = 0

  /** What `parse` throws is thrown to whoever reads. */
  constructor(args: readonly string[], parse: (output: string) => Value) {
    this.#args = args
    this.#parse = parse
  }

  /** Throws a `ProcessListError` if ps cannot be run. */
  get(): Value {
    if (this.#value !== undefined && performance.now() < this.#freshUntil) return this.#value
    const startedAt = performance.now()
    return this.#keep(runPs(this.#args), startedAt)
  }

  /** Reads it without blocking the event loop. Resolves with a function that makes it what `get` returns in this turn. */
  async readAhead(): Promise<() => void> {
    const startedAt = performance.now()
    const output = await runPsAside(this.#args)
    return () => void this.#keep(output, startedAt)
  }

  /** The next `get` reads it again. */
  forget(): void {
    this.#value = undefined
  }

  #keep(output: string, startedAt: number): Value {
    const value = this.#parse(output)
    if (this.#value === undefined) setImmediate(() => this.forget())
    this.#value = value
    const now = performance.now()
    // On a slow machine, two lists that are used together would else make each other stale.
    this.#freshUntil = now + Math.max(longestUseMs, 10 * (now - startedAt))
    return value
  }
}
