/**
 * Finds the process that adopts the orphans below a process: the nearest ancestor that is a subreaper, else
 * process 1. The system does not tell which one that is, so a trial finds out, the first time that the answer
 * is needed.
 */

import { type ProcessStat, platform } from '../platform/current.js'
import type { ProcessName } from '../wire/messages.js'

// After a trial without a result, in ms.
const retryAfterMs = 10_000

export interface OrphanAdopterParts {
  /** The process whose orphaned descendants are meant. Only its ancestors can adopt them. */
  readonly pid: number
  /** Runs the trial, which takes as long as the start of a process. Resolves with undefined if it fails. */
  readonly findAdopter: () => Promise<number | undefined>
  /** The adopter, where it is known without a trial. */
  readonly knownAdopter?: () => number | undefined
}

export class OrphanAdopter {
  readonly #parts: OrphanAdopterParts
  #found: ProcessName | undefined
  #failedAt: number | undefined
  #trial: Promise<void> | undefined

  constructor(parts: OrphanAdopterParts) {
    this.#parts = parts
  }

  /** Whether this process is the adopter. Undefined while a trial runs; starts one if it is needed. */
  isAdopter({ pid, startTick }: ProcessStat): boolean | undefined {
    const known = this.#parts.knownAdopter?.()
    if (known !== undefined) return pid === known
    if (!isAncestor(pid, this.#parts.pid)) return false
    if (this.#trial !== undefined) return undefined
    if (this.#failedAt !== undefined && performance.now() - this.#failedAt < retryAfterMs) return false
    const found = this.#found
    if (found !== undefined && platform.statOf(found.pid)?.startTick === found.startTick) {
      return pid === found.pid && startTick === found.startTick
    }
    this.#trial = this.#runTrial().finally(() => {
      this.#trial = undefined
    })
    return undefined
  }

  /** Resolves when no trial runs. */
  async settled(): Promise<void> {
    await this.#trial
  }

  async #runTrial(): Promise<void> {
    this.#found = await this.#findProcess().catch(() => undefined)
    this.#failedAt = this.#found === undefined ? performance.now() : undefined
  }

  async #findProcess(): Promise<ProcessName | undefined> {
    const pid = await this.#parts.findAdopter()
    const stat = pid === undefined ? undefined : platform.statOf(pid)
    return stat === undefined ? undefined : { pid: stat.pid, startTick: stat.startTick }
  }
}

function isAncestor(pid: number, descendant: number): boolean {
  for (
    let at = platform.statOf(descendant)?.parent;
    at !== undefined && at > 0;
    at = platform.statOf(at)?.parent
  ) {
    if (at === pid) return true
  }
  return false
}
