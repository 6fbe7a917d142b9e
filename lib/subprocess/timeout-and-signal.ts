/** The options `timeout` and `signal` of one command, as `child_process.spawn` has them. */

export interface EarlyEnd {
  /** 0 for none. */
  readonly timeoutMs: number
  readonly signal: AbortSignal | undefined
  /** Ends the command. Returns whether it was there. */
  end(): boolean
  /** Called with an `AbortError` when the signal has ended it. */
  aborted(error: Error): void
}

/** Heeds them. Returns how to stop that, when the command has ended. */
export function endEarly({ timeoutMs, signal, end, aborted }: EarlyEnd): () => void {
  const timer = timeoutMs > 0 ? setTimeout(end, timeoutMs) : undefined
  const abort = (): void => {
    if (end()) aborted(abortError(signal?.reason))
  }
  if (signal?.aborted) process.nextTick(abort)
  else signal?.addEventListener('abort', abort, { once: true })
  return () => {
    clearTimeout(timer)
    signal?.removeEventListener('abort', abort)
  }
}

/** What Node gives when a signal is aborted. */
function abortError(cause: unknown): Error {
  return Object.assign(new Error('The operation was aborted', { cause }), {
    name: 'AbortError',
    code: 'ABORT_ERR'
  })
}
