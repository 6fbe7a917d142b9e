/** Runs a long task once for all who ask before it begins: one that is running may have missed what they know. */

export class SharedTask {
  readonly #task: () => Promise<void>
  #running: Promise<void> = Promise.resolve()
  #next: Promise<void> | undefined

  constructor(task: () => Promise<void>) {
    this.#task = task
  }

  /** Settles as the next run does, which begins when the current one is over. */
  run(): Promise<void> {
    this.#next ??= this.#running
      .catch(() => {})
      .then(() => {
        this.#next = undefined
        this.#running = this.#task()
        return this.#running
      })
    return this.#next
  }
}
