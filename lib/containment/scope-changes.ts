/** Wakes those that wait for a change of a scope, such as the end of one of its processes. */

import type { ScopeRecord } from './scope-record.js'

export class ScopeChanges {
  readonly #waiting = new Map<ScopeRecord, Set<() => void>>()
  /** The scopes that have changed since the last call of `wakeChanged`. */
  readonly #changed = new Set<ScopeRecord>()

  /** Resolves when the scope has changed, after `ms` at the latest. */
  wait(scope: ScopeRecord, ms: number): Promise<void> {
    return new Promise((resolve) => {
      const waiting = this.#waiting.get(scope) ?? new Set()
      this.#waiting.set(scope, waiting)
      const wake = (): void => {
        clearTimeout(timer)
        waiting.delete(wake)
        resolve()
      }
      const timer = setTimeout(wake, ms)
      waiting.add(wake)
    })
  }

  note(scope: ScopeRecord): void {
    this.#changed.add(scope)
  }

  /** Any scope may have changed. */
  noteAll(): void {
    for (const scope of this.#waiting.keys()) this.#changed.add(scope)
  }

  wakeChanged(): void {
    const changed = [...this.#changed]
    this.#changed.clear()
    for (const scope of changed) for (const wake of [...(this.#waiting.get(scope) ?? [])]) wake()
  }

  forget(scope: ScopeRecord): void {
    this.#waiting.delete(scope)
  }
}
