/** The state of a scope: open, closing or closed. The first close reason wins. */

import type { CloseReason } from '../close-reason.js'
import type { SubprocessError } from '../errors.js'
import type { ExceededLimit } from '../scope-limits.js'
import { limitError, scopeClosedError } from './scope-closed-error.js'

type State = { readonly name: 'open' } | { readonly name: 'closing' | 'closed'; readonly reason: CloseReason }

export class ScopeState {
  #state: State = { name: 'open' }
  /** Undefined until the signal is used for the first time. */
  #abort: AbortController | undefined
  /** Whether the signal stays silent while the scope closes, until `unmuteSignal()`. */
  #isMuted = false
  /** Set before the scope closes for the reason `limit`. */
  exceeded: ExceededLimit | undefined

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
    if (this.#state.name !== 'open') throw this.closedError()
  }

  /** The error for whoever used the scope after it had started to close. */
  closedError(cause?: unknown): SubprocessError {
    const reason = this.reason ?? 'closed'
    return reason === 'limit' && this.exceeded !== undefined
      ? limitError(this.exceeded, cause)
      : scopeClosedError(reason, undefined, cause)
  }

  /** Aborts when the scope starts to close, with the error that `throwUnlessOpen()` throws from then on. */
  get signal(): AbortSignal {
    if (this.#abort === undefined) {
      this.#abort = new AbortController()
      if (this.#state.name !== 'open' && !this.#isMuted) this.#abort.abort(this.closedError())
    }
    return this.#abort.signal
  }

  startClosing(reason: CloseReason): void {
    this.#state = { name: 'closing', reason }
    if (!this.#isMuted) this.#abort?.abort(this.closedError())
  }

  finishClosing(reason: CloseReason): void {
    this.#state = { name: 'closed', reason }
  }

  muteSignal(): void {
    this.#isMuted = true
  }

  unmuteSignal(): void {
    this.#isMuted = false
    this.#abort?.abort(this.closedError())
  }
}
