/**
 * Work that comes in crowds, such as the ends of a thousand scopes, done a little in each turn of the event loop, so that
 * requests have their turn in between.
 */

/** How long one turn may take, in ms. A long one is seen by clients; a short one costs more looks for input than it is worth. */
export const turnMs = 1

export class EventLoopTurns {
  #tasks: (() => void)[] = []
  #next = 0
  #isDue = false

  /** Does it at once where nothing waits, else when all that came before is done. A task must not throw. */
  add(task: () => void): void {
    this.#tasks.push(task)
    if (!this.#isDue) this.#begin()
  }

  #begin(): void {
    this.#isDue = true
    this.#go(performance.now() + turnMs)
  }

  /** By microtasks, so that what promises make of each task counts, too. */
  #go(until: number): void {
    const task = this.#tasks[this.#next++]
    if (task === undefined) {
      this.#tasks = []
      this.#next = 0
      this.#isDue = false
      return
    }
    task()
    if (performance.now() < until) queueMicrotask(() => this.#go(until))
    else setImmediate(() => this.#begin())
  }
}
