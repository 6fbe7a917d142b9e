/** The state of a scope: open, closing or closed. The first close reason wins. */

import type { CloseReason } from '../close-reason.js'
import { scopeClosedError } from './scope-closed-error.js'

type State = { readonly name: 'open' } | { readonly name: 'closing' | 'closed'; readonly reason: CloseReason }

export class ScopeState {
  #state: State = { name: 'open' }
  /** Undefined until the signal is used for the first time. */
  #abort: AbortController | undefined
  /** Whether the signal stays silent while the scope closes, until `unmuteSignal()`. */
  #isMuted = false

  get isOpen(): boolean {
    return this.#state.name === 'open'
  }

  get isClosed(): boolean {
    return this.#state.name === 'closed'
  }

  /** Undefined while the scope is open. */
  get reason(): CloseReason | undefined {
    return this.#state.name === 'open' ? undefined : this.#state.reason
  }

  throwUnlessOpen(): void {
    if (this.#state.name !== 'open') throw scopeClosedError(this.#state.reason)
  }

  /** Aborts when the scope starts to close, with the error that `throwUnlessOpen()` throws from then on. */
  get signal(): AbortSignal {
    if (this.#abort === undefined) {
      this.#abort = new AbortController()
      if (this.#state.name !== 'open' && !this.#isMuted)
        this.#abort.abort(scopeClosedError(this.#state.reason))
    }
    return this.#abort.signal
  }

  startClosing(reason: CloseReason): void {
    this.#state = { name: 'closing', reason }
    if (!this.#isMuted) this.#abort?.abort(scopeClosedError(reason))
  }

  finishClosing(reason: CloseReason): void {
    this.#state = { name: 'closed', reason }
  }

  muteSignal(): void {
    this.#isMuted = true
  }

  unmuteSignal(): void {
    this.#isMuted = false
    this.#abort?.abort(scopeClosedError(this.reason ?? 'closed'))
  }
}
