/** A promise whose rejection is a line in the log where nobody asks for it: an unhandled rejection would end the server. */

/** Called with the error of a promise that nobody has asked by then. */
export type OnUnasked = (error: unknown) => void

/**
 * A promise of the same result. What is derived from it by `then`, `catch` and `finally` is such a promise, too. Each
 * error is told of once, and whoever asks later still gets it.
 */
export function logged<Result>(promise: Promise<Result>, onUnasked: OnUnasked): Promise<Result> {
  // Of all promises that are derived from one.
  const told = new Set<unknown>()
  return new LoggedPromise(promise, (error) => {
    if (told.has(error)) return
    told.add(error)
    onUnasked(error)
  })
}

class LoggedPromise<Result> extends Promise<Result> {
  // What the constructor derives by Promise's own `then`, or it would never end.
  static override get [Symbol.species](): PromiseConstructor {
    return Promise
  }

  readonly #onUnasked: OnUnasked
  #isAsked = false

  constructor(promise: Promise<Result>, onUnasked: OnUnasked) {
    super((resolve, reject) => promise.then(resolve, reject))
    this.#onUnasked = onUnasked
    super.then(undefined, (error: unknown) => {
      // Who waits for the same event, such as the 'close' of the command, asks in the same turn.
      setImmediate(() => {
        if (!this.#isAsked) onUnasked(error)
      })
    })
  }

  /** Called by `await`, too, since this is no plain Promise. */
  // biome-ignore lint/suspicious/noThenProperty: it is a promise.
  override then<Fulfilled = Result, Rejected = never>(
    onFulfilled?: ((result: Result) => Fulfilled | PromiseLike<Fulfilled>) | null,
    onRejected?: ((error: unknown) => Rejected | PromiseLike<Rejected>) | null
  ): Promise<Fulfilled | Rejected> {
    this.#isAsked = true
    return new LoggedPromise(super.then(onFulfilled, onRejected), this.#onUnasked)
  }
}
