/** Descriptors before and after: those of the soak itself, and of the worker and the keeper that are spared. */

import { setTimeout as pause } from 'node:timers/promises'
import { descriptorsOf } from './proc.js'

export interface DescriptorFinding {
  readonly name: string
  readonly before: number
  readonly after: number
  /** What those lead to that were not there before. */
  readonly added: readonly string[]
}

// What was closed a moment ago may need a turn of its process's loop.
const settleWithinMs = 10_000
const lookMs = 100

export class Descriptors {
  readonly #name: string
  readonly #pid: number
  readonly #before: ReadonlyMap<number, string>

  /** Takes what is open now for the rule. */
  constructor(name: string, pid: number) {
    this.#name = name
    this.#pid = pid
    this.#before = descriptorsOf(pid) ?? new Map()
  }

  /** Resolves when no more are open than before, or when it is plain that more stay open. */
  async compare(): Promise<DescriptorFinding> {
    const until = performance.now() + settleWithinMs
    let now = this.#look()
    while (now.size > this.#before.size && performance.now() < until) {
      await pause(lookMs)
      now = this.#look()
    }
    const added = [...now].filter(([number, target]) => this.#before.get(number) !== target)
    return {
      name: this.#name,
      before: this.#before.size,
      after: now.size,
      added: added.map(([number, target]) => `${number} ${target}`)
    }
  }

  #look(): Map<number, string> {
    return descriptorsOf(this.#pid) ?? new Map()
  }
}
