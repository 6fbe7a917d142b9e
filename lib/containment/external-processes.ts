/**
 * The processes of a scope that the keeper did not start: those that the worker started itself, and those that it was
 * told to take in. Somebody else reaps them, so their numbers may be reused at any time: each is held by a pidfd,
 * where there is one to be had, which never means another process.
 */

import { closeSync } from 'node:fs'
import { childrenOf, isOutOfDescriptors, type Libc, type ProcessStat, statOf } from '../platform/current.js'
import type { ProcessName } from '../wire/messages.js'
import { isEmptyGroup, type KnownProcesses } from './known-processes.js'
import { visitTree } from './process-tree.js'

interface Root {
  readonly startTick: number
  readonly descriptor: number | undefined
}

export class ExternalProcesses {
  readonly #known: KnownProcesses
  readonly #libc: Libc | undefined
  readonly #roots = new Map<number, Root>()
  /** When the oldest of them started, in clock ticks since boot; `Infinity` when there never was one. */
  firstTick = Number.POSITIVE_INFINITY

  /** What they are, and what descends from them, is noted among the known. */
  constructor(known: KnownProcesses, libc: Libc | undefined) {
    this.#known = known
    this.#libc = libc
  }

  /** Whether there ever was one: it may have left something when it ended. */
  get hadAny(): boolean {
    return this.firstTick !== Number.POSITIVE_INFINITY
  }

  /** Whether it was told to take that process in. */
  has(pid: number): boolean {
    return this.#roots.has(pid)
  }

  /** There may be some that nobody has told of, none older than that, in clock ticks since boot. */
  mayExistSince(startTick: number): void {
    this.firstTick = Math.min(this.firstTick, startTick)
  }

  adopt({ pid, startTick }: ProcessName): void {
    this.release(pid)
    this.#roots.set(pid, { startTick, descriptor: this.#libc?.hold(pid) })
    this.firstTick = Math.min(this.firstTick, startTick)
    // What cannot be read of it now, for want of descriptors, another look will tell.
    this.#known.seen.set(pid, startTick)
    this.scan()
  }

  /** Forgets those that have ended, and notes what the others have started, so that it is known as an orphan. */
  scan(): void {
    try {
      this.forgetEnded()
      for (const [pid, { startTick }] of this.#roots) {
        const stat = statOf(pid)
        if (stat?.startTick === startTick) this.#noteTree(stat)
      }
      this.#known.prune()
    } catch (error) {
      // There is another look.
      if (!isOutOfDescriptors(error)) throw error
    }
  }

  /** Those whose end can be told: who looks at all processes finds by itself what they have started. */
  forgetEnded(): void {
    for (const [pid, { descriptor }] of this.#roots) {
      if (descriptor !== undefined && this.#libc?.isOver(descriptor)) this.#drop(pid)
    }
  }

  /** It was collected a moment ago, and its number may be anybody's from now on. What it left is still the scope's. */
  reaped(pid: number): void {
    this.#known.groupLeaderEnded(pid)
    this.#drop(pid)
  }

  /** It was collected some time ago. */
  #drop(pid: number): void {
    this.#known.seen.delete(pid)
    // A number is given out again only when no group has it any more: who has it now is another one.
    if (statOf(pid) !== undefined || isEmptyGroup(pid)) this.#known.groups.delete(pid)
    this.release(pid)
  }

  /** It is none of the scope's any more. */
  release(pid: number): void {
    const descriptor = this.#roots.get(pid)?.descriptor
    if (descriptor !== undefined) closeSync(descriptor)
    this.#roots.delete(pid)
  }

  /** The scope is closed. */
  close(): void {
    for (const pid of [...this.#roots.keys()]) this.release(pid)
  }

  #noteTree(root: ProcessStat): void {
    visitTree(root.pid, (pid) => {
      const stat = statOf(pid)
      if (!stat?.alive) return []
      this.#known.remember(stat)
      return childrenOf(stat)
    })
  }
}
