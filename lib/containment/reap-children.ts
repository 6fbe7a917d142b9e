/** Reaps the children of the keeper: the commands that it started, and the orphans that it adopted. */

import { type NativeCalls, type ProcessUsage, platform } from '../platform/current.js'
import { withoutOwnMemory } from './own-memory.js'
import { noteReaped } from './reaped-usage.js'
import type { ScopeRecord } from './scope-record.js'

export interface ExitListener {
  /** The process has ended and was reaped. */
  exited(code: number | null, signal: NodeJS.Signals | null, usage: ProcessUsage | undefined): void
}

// These two are global since a process has only one set of children.

/** The children that Node reaps: each pid from its spawn until Node has reported its exit. */
export const reapedByNode = new Set<number>()

/** The children that a `ChildReaper` has to reap and report, with the listener of each. */
export const reapedByWaitpid = new Map<number, ExitListener>()

export interface ReaperEvents {
  /** A child that the keeper did not start was reaped. */
  readonly orphanReaped: (pid: number, usage: ProcessUsage | undefined) => void
  /** A round of reaping is done, after some children have ended. */
  readonly roundDone: () => void
}

export class ChildReaper {
  readonly #native: NativeCalls
  readonly #events: ReaperEvents
  /**
   * The leaders that were not inspected yet. Inspect them before reaping any child, but not immediately: the
   * kernel blocks a process that inspects another one during its exec.
   */
  readonly #uninspected = new Map<number, ScopeRecord>()
  #isRoundDue = false
  /** While this timer runs, only a scan reaps children. */
  #delay: NodeJS.Timeout | undefined
  /** When the delay ends, in ms by `performance.now()`. */
  #delayedUntil = 0
  readonly #onChildEnded = (): void => this.reapSoon()

  constructor(native: NativeCalls, events: ReaperEvents) {
    this.#native = native
    this.#events = events
    // So that an orphan is reaped when it ends, and not only at the next scan.
    process.on('SIGCHLD', this.#onChildEnded)
  }

  inspectLater(scope: ScopeRecord, pid: number): void {
    this.#uninspected.set(pid, scope)
  }

  /** Inspects the leader now, unless that was done. */
  inspectNow(scope: ScopeRecord, pid: number): void {
    if (this.#uninspected.delete(pid)) scope.inspectLeader(pid)
  }

  /**
   * Reaps all children that have ended. The leftovers of a leader that is reaped without an inspection would
   * not be recognised.
   */
  reapEnded(): void {
    for (const [pid, scope] of this.#uninspected) scope.inspectLeader(pid)
    this.#uninspected.clear()
    if (reapedByNode.size === 0) {
      // wait4(-1) costs nothing for living children. But it would also reap the children of Node.
      while (this.#reap(-1));
    } else {
      for (const pid of platform.childrenOfMainThread(process.pid))
        if (!reapedByNode.has(pid)) this.#reap(pid)
    }
  }

  /** Runs one round for all children that end in the same turn of the event loop. */
  reapSoon(): void {
    if (this.#isRoundDue || this.#delay !== undefined) return
    this.#isRoundDue = true
    setImmediate(() => {
      this.#isRoundDue = false
      // With children of Node's, each child needs a waitpid() of its own: leave that to the next scan.
      if (reapedByNode.size === 0) this.reapEnded()
      this.#events.roundDone()
    })
  }

  /** Many children are about to end: reap them together, after `ms`. */
  delay(ms: number): void {
    const until = performance.now() + ms
    // Timers count whole ms.
    if (ms < 1 || until <= this.#delayedUntil) return
    this.#delayedUntil = until
    // Otherwise each SIGCHLD would wake the keeper, and take the time in which another process dies.
    process.off('SIGCHLD', this.#onChildEnded)
    clearTimeout(this.#delay)
    this.#delay = setTimeout(() => {
      this.#delay = undefined
      process.on('SIGCHLD', this.#onChildEnded)
      this.reapSoon()
    }, ms)
  }

  #reap(pid: number): boolean {
    const reaped = this.#native.reap(pid)
    if (reaped === undefined) return false
    const listener = reapedByWaitpid.get(reaped.pid)
    reapedByWaitpid.delete(reaped.pid)
    if (reaped.usage !== undefined) noteReaped(reaped.usage)
    if (listener === undefined) this.#events.orphanReaped(reaped.pid, reaped.usage)
    else listener.exited(reaped.code, reaped.signal, reaped.usage && withoutOwnMemory(reaped.usage))
    return true
  }
}
