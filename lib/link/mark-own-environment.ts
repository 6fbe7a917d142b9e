/** Marks the worker's own environment, so that processes which it starts outside any scope can be found. */

import { markName, markOf, workerScope } from '../wire/mark.js'

/** The mark in `process.env`: children inherit it, and end with a crashed worker like those of a scope. */
export class OwnEnvironmentMark {
  readonly #mark: string
  /** The mark that the worker has inherited if it runs in a scope of another worker. */
  readonly #inherited = process.env[markName]

  constructor(workerMark: string) {
    this.#mark = markOf(workerMark, workerScope)
  }

  set(): void {
    process.env[markName] = this.#mark
  }

  /** Restores what was there before, unless it was changed since. */
  restore(): void {
    if (process.env[markName] !== this.#mark) return
    if (this.#inherited === undefined) delete process.env[markName]
    else process.env[markName] = this.#inherited
  }
}
