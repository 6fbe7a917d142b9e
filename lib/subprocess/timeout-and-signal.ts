/** The options `timeout` and `signal` of one command, as `child_process.spawn` has them. */

/** The two options, and what they act on. */
export interface TimeoutAndSignal {
  /** In ms; 0 for no timeout. */
  readonly timeoutMs: number
  readonly signal: AbortSignal | undefined
  /** Ends the command. Returns false if it has ended already, or was not started. */
  end(): boolean
  /** Called with an `AbortError` if the signal has ended the command. */
  onAborted(error: Error): void
}

/** Ends the command on timeout or abort. Call the returned function when the command has ended. */
export function endOnTimeoutOrAbort({ timeoutMs, signal, end, onAborted }: TimeoutAndSignal): () => void {
  const timer = timeoutMs > 0 ? setTimeout(end, timeoutMs) : undefined
  const abort = (): void => {
    if (end()) onAborted(abortError(signal?.reason))
  }
  if (signal?.aborted) process.nextTick(abort)
  else signal?.addEventListener('abort', abort, { once: true })
  return () => {
    clearTimeout(timer)
    signal?.removeEventListener('abort', abort)
  }
}

/** The same error as Node's. */
function abortError(cause: unknown): Error {
  return Object.assign(new Error('The operation was aborted', { cause }), {
    name: 'AbortError',
    code: 'ABORT_ERR'
  })
}
