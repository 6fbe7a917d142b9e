/** The time of a scope outside any request. */

import { type Deadlines, Expiring } from './deadline.js'
import type { Scope, Term } from './scope.js'

export class Job extends Expiring<Job> implements Term {
  scope: Scope | undefined
  readonly #deadlines: Deadlines<Job>

  constructor(deadlines: Deadlines<Job>) {
    super()
    this.#deadlines = deadlines
  }

  extend(ms: number): void {
    this.#deadlines.extend(this, ms)
  }

  override get isOver(): boolean {
    return this.scope?.reason !== undefined
  }

  override expire(): void {
    void this.scope?.close('deadline')
  }

  override letGo(): void {
    this.scope = undefined
  }
}
