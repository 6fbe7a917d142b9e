/**
 * One output of ps about all processes, parsed. It serves for the rest of the turn of the event loop, so that there is
 * never one ps for each process, and for 100 ms at most: within that time no pid is reused, since all other numbers come
 * first, and these are tens of thousands.
 */

import { runPs, runPsAside } from './run-ps.js'

const longestUseMs = 100

export class PsReading<Value> {
  readonly #args: readonly string[]
  readonly #parse: (output: string) => Value
  #value: Value | undefined
  #readAt = 0

  /** What `parse` throws is thrown to whoever reads. */
  constructor(args: readonly string[], parse: (output: string) => Value) {
    this.#args = args
    this.#parse = parse
  }

  /** Throws a `ProcessListError` if ps cannot be run. */
  get(): Value {
    if (this.#value !== undefined && performance.now() - this.#readAt < longestUseMs) return this.#value
    return this.#keep(runPs(this.#args))
  }

  /** Reads it now without blocking the event loop, for the rest of the turn in which this resolves. */
  async readAhead(): Promise<void> {
    this.#keep(await runPsAside(this.#args))
  }

  /** The next `get` reads it again. */
  forget(): void {
    this.#value = undefined
  }

  #keep(output: string): Value {
    const value = this.#parse(output)
    if (this.#value === undefined) setImmediate(() => this.forget())
    this.#value = value
    this.#readAt = performance.now()
    return value
  }
}
