/** The rights that the worker had when it started its keeper, and whether it has changed them since. */

import { platform } from '../platform/current.js'

export class RightsAtStart {
  /** What the keeper compares with. Undefined if the worker has no rights to lose. */
  readonly text: string | undefined
  readonly #rights = platform.openRights(process.pid)
  readonly #atStart = this.#rights?.read()

  constructor() {
    if (this.#atStart !== undefined && platform.canDropRights(this.#atStart)) this.text = this.#atStart
    else this.close()
  }

  /** Whether the worker has different rights now. */
  haveChanged(): boolean {
    const rights = this.#rights?.read()
    return rights !== undefined && rights !== this.#atStart
  }

  /** Stops comparing: from now on nothing has changed. */
  close(): void {
    this.#rights?.close()
  }
}
