/** The marks of scopes that let something go: once such a scope is closed, all that carries its mark was let go. */

import { findMarkedProcesses } from './marked-processes.js'

// A worker that lives for months may release a command with each request.
const marksBetweenDrops = 1_000

export class ReleasedMarks {
  readonly #marks = new Set<string>()
  #dropAt = marksBetweenDrops

  add(mark: string): void {
    this.#marks.add(mark)
    if (this.#marks.size >= this.#dropAt) this.#drop()
  }

  has(mark: string): boolean {
    return this.#marks.has(mark)
  }

  get size(): number {
    return this.#marks.size
  }

  /** Forgets the marks that no process carries. What was just released is among the processes. */
  #drop(): void {
    try {
      // Two looks: while a process becomes another program, its environment shows empty.
      const carried = new Set([
        ...findMarkedProcesses().marks.values(),
        ...findMarkedProcesses().marks.values()
      ])
      for (const mark of this.#marks) if (!carried.has(mark)) this.#marks.delete(mark)
    } catch {
      // For want of descriptors: they are kept, and the next look is as far away as this one was.
    }
    this.#dropAt = this.#marks.size + marksBetweenDrops
  }
}
