/** Compares the open file descriptors of a process before and after the load. */

import { setTimeout as pause } from 'node:timers/promises'
import { descriptorsOf } from './proc.js'

export interface DescriptorFinding {
  readonly name: string
  readonly before: number
  readonly after: number
  /** The descriptors that were not open before, with what each refers to. */
  readonly added: readonly string[]
}

// A descriptor that is being closed may need another turn of its process's event loop.
const settleWithinMs = 10_000
const pauseMs = 100

export class Descriptors {
  readonly #name: string
  readonly #pid: number
  readonly #before: ReadonlyMap<number, string>

  /** The descriptors that are open now are the baseline. */
  constructor(name: string, pid: number) {
    this.#name = name
    this.#pid = pid
    this.#before = descriptorsOf(pid) ?? new Map()
  }

  /** Resolves when no more are open than before, or after 10 s. */
  async compare(): Promise<DescriptorFinding> {
    const until = performance.now() + settleWithinMs
    let now = this.#read()
    while (now.size > this.#before.size && performance.now() < until) {
      await pause(pauseMs)
      now = this.#read()
    }
    const added = [...now].filter(([number, target]) => this.#before.get(number) !== target)
    return {
      name: this.#name,
      before: this.#before.size,
      after: now.size,
      added: added.map(([number, target]) => `${number} ${target}`)
    }
  }

  #read(): Map<number, string> {
    return descriptorsOf(this.#pid) ?? new Map()
  }
}
