/**
 * Spreads bursts of work, such as the ends of a thousand scopes, over several turns of the event loop, so
 * that requests are served in between.
 */

/** How long the work of one turn may take, in ms. More delays clients, less polls for input too often. */
export const turnMs = 1

export class EventLoopTurns {
  #tasks: (() => void)[] = []
  #next = 0
  #isRunning = false

  /** Runs the task at once if none is queued, else after those before it. A task must not throw. */
  add(task: () => void): void {
    this.#tasks.push(task)
    if (!this.#isRunning) this.#beginTurn()
  }

  #beginTurn(): void {
    this.#isRunning = true
    this.#runUntil(performance.now() + turnMs)
  }

  /** One microtask per task, so that the promise callbacks that a task causes count towards the turn. */
  #runUntil(endsAt: number): void {
    const task = this.#tasks[this.#next++]
    if (task === undefined) {
      this.#tasks = []
      this.#next = 0
      this.#isRunning = false
      return
    }
    task()
    if (performance.now() < endsAt) queueMicrotask(() => this.#runUntil(endsAt))
    else setImmediate(() => this.#beginTurn())
  }
}
