/** The marks of scopes with a release: after the scope is closed, only released processes have its mark. */

import { findMarkedProcesses } from './marked-processes.js'

// A worker that runs for months may release a command in each request.
const marksBetweenPrunes = 1_000

export class ReleasedMarks {
  readonly #marks = new Set<string>()
  #pruneAt = marksBetweenPrunes

  add(mark: string): void {
    this.#marks.add(mark)
    if (this.#marks.size >= this.#pruneAt) this.#prune()
  }

  has(mark: string): boolean {
    return this.#marks.has(mark)
  }

  get size(): number {
    return this.#marks.size
  }

  /** Forgets the marks that no process has. The process that was just released still has its mark. */
  #prune(): void {
    try {
      // Two scans: the environment of a process reads as empty during its exec.
      const inUse = new Set([
        ...findMarkedProcesses().marks.values(),
        ...findMarkedProcesses().marks.values()
      ])
      for (const mark of this.#marks) if (!inUse.has(mark)) this.#marks.delete(mark)
    } catch {
      // Out of file descriptors: keep the marks. The next attempt is as far away as after a successful one.
    }
    this.#pruneAt = this.#marks.size + marksBetweenPrunes
  }
}
