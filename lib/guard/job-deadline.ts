/** The deadline of a scope outside of requests. */

import type { Deadlines } from '../time/deadlines.js'
import { Expiring } from '../time/expiry-queue.js'
import type { Scope } from './scope.js'
import type { ScopeDeadline } from './scope-context.js'

export class JobDeadline extends Expiring<JobDeadline> implements ScopeDeadline {
  /** Undefined until the scope is open, and again when its queue drops this entry. */
  scope: Scope | undefined
  readonly #deadlines: Deadlines<JobDeadline>

  constructor(deadlines: Deadlines<JobDeadline>) {
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

  override onDropped(): void {
    this.scope = undefined
  }
}
