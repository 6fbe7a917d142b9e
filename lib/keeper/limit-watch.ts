/** Watches the scopes that have limits: looks at what their processes use, and reports a limit that is exceeded. */

import { freemem } from 'node:os'
import type { Census, Member } from '../containment/census.js'
import type { ScopeRecord } from '../containment/scope-record.js'
import { isOutOfDescriptors, platform } from '../platform/current.js'
import type { ExceededLimit } from '../scope-limits.js'
import {
  fullHeadroom,
  type Headroom,
  headroomOf,
  pauseUntilNextLook,
  shortestPauseMs
} from './look-rhythm.js'
import { exceededLimit, lookAt, outOfMemory } from './scope-look.js'

// How often the figures of the machine are read, in ms. One reading takes some hundredths of a ms.
const tickMs = 50
// The share of a processor that routine looks may take, all scopes together.
const calmShare = 0.01
// The same for looks at all scopes because the memory or the threads of the machine have changed.
const alarmShare = 0.01
// Looks that can wait are made together, at multiples of this time, in ms: the first look in a turn costs the most.
const batchMs = 250
// The share that looks at a single scope may take when a limit is near.
const urgentShare = 0.2
// The share that scans of all processes of the machine may take.
const searchShare = 0.05
const shortestSearchPauseMs = 100

interface Watched {
  headroom: Headroom
  pauseMs: number
  /** By `performance.now()`. `Infinity` while no process runs or a look is under way. */
  dueAt: number
  /** How long the last look took, in ms. */
  lookMs: number
  searchedAt: number
  searchMs: number
}

export interface LimitWatchParts {
  readonly census: Census
  readonly onExceeded: (scope: ScopeRecord, exceeded: ExceededLimit) => void
}

export class LimitWatch {
  readonly #parts: LimitWatchParts
  readonly #watched = new Map<ScopeRecord, Watched>()
  #timer: NodeJS.Timeout | undefined
  /** The figures of the machine at the last look at all scopes. */
  #freeBytes = 0
  #threads = 0
  /** When figures of the machine may call for a look at all scopes again. */
  #alarmFrom = 0

  constructor(parts: LimitWatchParts) {
    this.#parts = parts
  }

  /** Watches a scope from its first process on. */
  add(scope: ScopeRecord): void {
    this.#watched.set(scope, {
      headroom: fullHeadroom(scope.limits),
      pauseMs: shortestPauseMs,
      dueAt: Number.POSITIVE_INFINITY,
      lookMs: 0,
      searchedAt: Number.NEGATIVE_INFINITY,
      searchMs: 0
    })
  }

  remove(scope: ScopeRecord): void {
    this.#watched.delete(scope)
    if (this.#watched.size === 0) this.#stop()
  }

  /**
   * A command was killed. If the system has done that because of memory, reports it at once: before the end of the
   * command.
   */
  commandKilled(scope: ScopeRecord): void {
    const { census } = this.#parts
    if (!this.#watched.has(scope) || scope.limits.memory === undefined) return
    const used = census.exhaustedMemoryOf?.(scope)
    if (used !== undefined) this.#report(scope, outOfMemory(scope, used))
  }

  /** A process of the scope was started or adopted. */
  processStarted(scope: ScopeRecord): void {
    const watched = this.#watched.get(scope)
    if (watched === undefined) return
    watched.pauseMs = shortestPauseMs
    const pauseMs = pauseUntilNextLook(watched.headroom, watched)
    watched.dueAt = Math.min(watched.dueAt, performance.now() + pauseMs)
    if (this.#timer !== undefined) return
    this.#readMachine()
    this.#tickAfter(Math.min(pauseMs, tickMs))
  }

  #stop(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  #tickAfter(ms: number): void {
    // A process may have been started while a tick was waiting for a scan.
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => void this.#tick(), ms)
  }

  async #tick(): Promise<void> {
    const isAlarm = this.#hasMachineChanged()
    if (isAlarm) {
      for (const watched of this.#watched.values())
        if (watched.dueAt !== Number.POSITIVE_INFINITY) watched.dueAt = 0
      this.#readMachine()
    }
    const startedAt = performance.now()
    const due = [...this.#watched].filter(([, { dueAt }]) => dueAt <= startedAt)
    for (const [scope, watched] of due) await this.#look(scope, watched)
    const now = performance.now()
    if (isAlarm) this.#alarmFrom = now + (now - startedAt) / alarmShare
    let nextAt = Number.POSITIVE_INFINITY
    for (const { dueAt } of this.#watched.values()) nextAt = Math.min(nextAt, dueAt)
    if (nextAt === Number.POSITIVE_INFINITY) this.#stop()
    else this.#tickAfter(Math.min(Math.max(nextAt - now, shortestPauseMs), tickMs))
  }

  async #look(scope: ScopeRecord, watched: Watched): Promise<void> {
    watched.dueAt = Number.POSITIVE_INFINITY
    const startedAt = performance.now()
    try {
      const { members, isComplete } = await this.#membersOf(scope, watched)
      const look = lookAt(scope, members, this.#parts.census)
      const exceeded = scope.state === 'open' ? exceededLimit(scope, look) : undefined
      if (exceeded !== undefined) {
        this.#report(scope, exceeded)
        return
      }
      watched.lookMs = performance.now() - startedAt
      const headroom = headroomOf(look, scope.limits)
      watched.pauseMs = this.#pauseFor(headroom, watched)
      watched.headroom = headroom
      // The next process that is started wakes it again.
      if (isComplete && look.members.length === 0) return
    } catch (error) {
      // Nothing can be concluded from it.
      if (!isOutOfDescriptors(error)) throw error
    }
    watched.dueAt = inBatch(performance.now(), watched.pauseMs)
  }

  #report(scope: ScopeRecord, exceeded: ExceededLimit): void {
    this.remove(scope)
    if (scope.state === 'open') this.#parts.onExceeded(scope, exceeded)
  }

  /** The known processes or, where there may be unknown ones, all of them from time to time. */
  async #membersOf(
    scope: ScopeRecord,
    watched: Watched
  ): Promise<{ members: Member[]; isComplete: boolean }> {
    const { census } = this.#parts
    const mayHaveUnknown = scope.external.hadAny || census.containment === platform.scanLevel
    const pauseMs = Math.max(shortestSearchPauseMs, watched.searchMs / searchShare)
    const isSearchDue = mayHaveUnknown && performance.now() - watched.searchedAt >= pauseMs
    if (census.knownMembers === undefined || isSearchDue)
      return { members: await this.#search(scope, watched), isComplete: true }
    return { members: census.knownMembers(scope), isComplete: !mayHaveUnknown }
  }

  async #search(scope: ScopeRecord, watched: Watched): Promise<Member[]> {
    const { census } = this.#parts
    const startedAt = performance.now()
    await census.prepareScan?.()
    const members = census.members(scope)
    watched.searchedAt = performance.now()
    watched.searchMs = watched.searchedAt - startedAt
    return members
  }

  #pauseFor(headroom: Headroom, watched: Watched): number {
    const affordableMs = (this.#watched.size * watched.lookMs) / calmShare
    const pauseMs = pauseUntilNextLook(headroom, watched, affordableMs)
    return Math.max(pauseMs, watched.lookMs / urgentShare)
  }

  /** Whether so much memory, or so many threads, are gone that a scope may be near one of its limits. */
  #hasMachineChanged(): boolean {
    if (performance.now() < this.#alarmFrom) return false
    const { memoryBytes, processes } = this.#smallestHeadroom()
    const freeBytes = freemem()
    // What others have given back must not hide what a scope takes.
    this.#freeBytes = Math.max(this.#freeBytes, freeBytes)
    if (this.#freeBytes - freeBytes > memoryBytes / 2) return true
    if (processes === Number.POSITIVE_INFINITY) return false
    const threads = platform.countThreads() ?? 0
    this.#threads = Math.min(this.#threads, threads)
    return threads - this.#threads > processes / 2
  }

  #smallestHeadroom(): Headroom {
    let [memoryBytes, processes] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY]
    for (const { headroom, dueAt } of this.#watched.values()) {
      if (dueAt === Number.POSITIVE_INFINITY) continue
      memoryBytes = Math.min(memoryBytes, headroom.memoryBytes)
      processes = Math.min(processes, headroom.processes)
    }
    return { memoryBytes, processes, cpuMs: 0 }
  }

  #readMachine(): void {
    this.#freeBytes = freemem()
    this.#threads = platform.countThreads() ?? 0
  }
}

/** When to look again. A long pause may be a little longer, so that it ends together with others. */
function inBatch(now: number, pauseMs: number): number {
  const dueAt = now + pauseMs
  return pauseMs < 2 * batchMs ? dueAt : Math.ceil(dueAt / batchMs) * batchMs
}
