/** The scans of a scope while it is being ended. What a failed scan could not do is left to the next one. */

import type { Member, Scanner } from './census.js'
import { isConfirmedEmpty } from './confirm-empty.js'
import type { PauseAwareDeadline } from './pause-aware-deadline.js'
import type { ScopeRecord } from './scope-record.js'

/**
 * A scan of a thousand processes takes as long as their end. So the first scan of a large tree stops at this
 * many processes, and their groups are signalled.
 */
export const firstScanLimit = 128
/** The rest of a large tree is scanned when those have had this time to end, in ms. */
export const restScanDelayMs = 25

const noPids: ReadonlySet<number> = new Set()

export class ScopeScans {
  readonly #scanner: Scanner
  readonly #scope: ScopeRecord
  #isPartial = false
  #failure: Error | undefined

  constructor(scanner: Scanner, scope: ScopeRecord) {
    this.#scanner = scanner
    this.#scope = scope
  }

  /** Whether the last scan left out a part of a large tree. */
  get isPartial(): boolean {
    return this.#isPartial
  }

  /** Why the last attempt failed; undefined if it succeeded. */
  get failure(): Error | undefined {
    return this.#failure
  }

  /** The members that are alive. With `most`, about that many of them. */
  living(most = Number.POSITIVE_INFINITY): Member[] {
    const members = this.#scanner.members(this.#scope, most)
    // A scanner that always finds all members does not stop there.
    this.#isPartial = members.length === most
    return members.filter((member) => member.stat.alive)
  }

  /** Does something that needs a scan. */
  attempt(act: () => void): void {
    this.#failure = undefined
    try {
      act()
    } catch (error) {
      this.#failure = error as Error
    }
  }

  /** Signals the processes while they are stopped, where the system can stop them. */
  async whileFrozen(signal: () => void): Promise<void> {
    const thaw = await this.#scanner.freeze?.(this.#scope)
    try {
      signal()
    } finally {
      thaw?.()
    }
  }

  /** Kills processes of the scope at once, where the system can. Returns their pids. */
  kill(): ReadonlySet<number> {
    return this.#scanner.kill?.(this.#scope) ?? noPids
  }

  /** Whether the scope is empty. False if that cannot be told: the next attempt sets `failure`. */
  isEmpty(): Promise<boolean> {
    return isConfirmedEmpty(this.#scanner, this.#scope).catch(() => false)
  }

  /** Resolves when something may have changed for the scope, after `ms` at the latest. */
  async waitForChange(ms: number, deadline: PauseAwareDeadline): Promise<void> {
    await this.#scanner.waitForChange(this.#scope, ms)
    deadline.now(ms)
  }

  delayReaping(ms: number): void {
    this.#scanner.delayReaping?.(ms)
  }
}
