/** A promise whose rejection is logged if nobody handles it: an unhandled rejection would end the server. */

/** Called with the error of a rejection that nobody handles. */
export type OnUnhandledRejection = (error: unknown) => void

/**
 * A promise with the same result. Promises derived from it by `then`, `catch` and `finally` behave the
 * same. Each error is reported once. A handler that is added later still gets the error.
 */
export function logIfUnhandled<Result>(
  promise: Promise<Result>,
  onUnhandled: OnUnhandledRejection
): Promise<Result> {
  // Shared by all promises that are derived from this one.
  const reported = new Set<unknown>()
  return new LoggedPromise(promise, (error) => {
    if (reported.has(error)) return
    reported.add(error)
    onUnhandled(error)
  })
}

class LoggedPromise<Result> extends Promise<Result> {
  // The constructor calls `super.then`. If that made another LoggedPromise, there would be no end.
  static override get [Symbol.species](): PromiseConstructor {
    return Promise
  }

  readonly #onUnhandled: OnUnhandledRejection
  #isHandled = false

  constructor(promise: Promise<Result>, onUnhandled: OnUnhandledRejection) {
    super((resolve, reject) => promise.then(resolve, reject))
    this.#onUnhandled = onUnhandled
    super.then(undefined, (error: unknown) => {
      // Not at once: code that waits for the same event, such as 'close', may add its handler in this turn.
      setImmediate(() => {
        if (!this.#isHandled) onUnhandled(error)
      })
    })
  }

  /** `await` calls it too, because this is not a plain Promise. */
  // biome-ignore lint/suspicious/noThenProperty: it is a promise.
  override then<Fulfilled = Result, Rejected = never>(
    onFulfilled?: ((result: Result) => Fulfilled | PromiseLike<Fulfilled>) | null,
    onRejected?: ((error: unknown) => Rejected | PromiseLike<Rejected>) | null
  ): Promise<Fulfilled | Rejected> {
    this.#isHandled = true
    return new LoggedPromise(super.then(onFulfilled, onRejected), this.#onUnhandled)
  }
}
