/**
 * Who takes in the orphans of a place: the nearest process above that is a subreaper, or else process 1. Nothing in /proc
 * tells which one that is, so it is found out by a trial, when it is first asked for.
 */

import { type ProcessStat, statOf } from '../platform/current.js'
import type { ProcessName } from '../wire/messages.js'

// After a trial that has told nothing, in ms.
const retryAfterMs = 10_000

export interface OrphanAdopterParts {
  /** Process id of whose orphans are meant. Only who is above it can take them in. */
  readonly pid: number
  /** Finds out who it is, and takes as long as the start of a process. Undefined where it cannot be told. */
  readonly findAdopter: () => Promise<number | undefined>
  /** Who it is, where that is known already. */
  readonly knownAdopter?: () => number | undefined
}

export class OrphanAdopter {
  readonly #parts: OrphanAdopterParts
  #found: ProcessName | undefined
  #failedAt: number | undefined
  #finding: Promise<void> | undefined

  constructor(parts: OrphanAdopterParts) {
    this.#parts = parts
  }

  /** Whether it is that process. Undefined while a trial runs, which this begins where it is needed. */
  isAdopter({ pid, startTick }: ProcessStat): boolean | undefined {
    const known = this.#parts.knownAdopter?.()
    if (known !== undefined) return pid === known
    if (!isAbove(pid, this.#parts.pid)) return false
    if (this.#finding !== undefined) return undefined
    if (this.#failedAt !== undefined && performance.now() - this.#failedAt < retryAfterMs) return false
    const found = this.#found
    if (found !== undefined && statOf(found.pid)?.startTick === found.startTick) {
      return pid === found.pid && startTick === found.startTick
    }
    this.#finding = this.#find().finally(() => {
      this.#finding = undefined
    })
    return undefined
  }

  /** Resolves when no trial runs. */
  async settled(): Promise<void> {
    await this.#finding
  }

  async #find(): Promise<void> {
    this.#found = await this.#nameFound().catch(() => undefined)
    this.#failedAt = this.#found === undefined ? performance.now() : undefined
  }

  async #nameFound(): Promise<ProcessName | undefined> {
    const pid = await this.#parts.findAdopter()
    const stat = pid === undefined ? undefined : statOf(pid)
    return stat === undefined ? undefined : { pid: stat.pid, startTick: stat.startTick }
  }
}

function isAbove(pid: number, place: number): boolean {
  for (let at = statOf(place)?.parent; at !== undefined && at > 0; at = statOf(at)?.parent) {
    if (at === pid) return true
  }
  return false
}
