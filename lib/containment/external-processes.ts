/**
 * The processes of a scope that the keeper did not start: the worker started them, or the scope adopted them.
 * Another process reaps them, so their pids may be reused at any time. So each is held by a pidfd, where one
 * is available: a pidfd never refers to another process.
 */

import { closeSync } from 'node:fs'
import { isOutOfDescriptors, type NativeCalls, type ProcessStat, platform } from '../platform/current.js'
import type { ProcessName } from '../wire/messages.js'
import { ExternalUsage } from './external-usage.js'
import type { KnownProcesses } from './known-processes.js'
import { isEmptyGroup, pidExists } from './process-identity.js'
import { visitTree } from './process-tree.js'

interface Root {
  readonly startTick: number
  /** The pidfd. */
  readonly descriptor: number | undefined
}

export class ExternalProcesses {
  readonly #known: KnownProcesses
  readonly #native: NativeCalls | undefined
  readonly #roots = new Map<number, Root>()
  readonly usage = new ExternalUsage()
  /** When the oldest of them started, in clock ticks since boot; `Infinity` if there never was one. */
  firstTick = Number.POSITIVE_INFINITY

  /** Notes the processes and their descendants in `known`. */
  constructor(known: KnownProcesses, native: NativeCalls | undefined) {
    this.#known = known
    this.#native = native
  }

  /** Whether there ever was one: it may have left processes behind when it ended. */
  get hadAny(): boolean {
    return this.firstTick !== Number.POSITIVE_INFINITY
  }

  /** Whether this process was adopted. */
  has(pid: number): boolean {
    return this.#roots.has(pid)
  }

  /** Those that were adopted and have not been reaped, as far as is known. */
  pids(): number[] {
    return [...this.#roots.keys()]
  }

  /** There may be some that were never announced, none older than this, in clock ticks since boot. */
  mayExistSince(startTick: number): void {
    this.firstTick = Math.min(this.firstTick, startTick)
  }

  adopt(process: ProcessName): void {
    const { pid } = process
    const startTick = process.isUnread ? this.#startOfChild(pid) : process.startTick
    this.release(pid)
    this.#roots.set(pid, { startTick, descriptor: this.#native?.holdProcess(pid) })
    this.firstTick = Math.min(this.firstTick, startTick)
    // What cannot be read now, for lack of file descriptors, a later scan reads.
    this.#known.seen.set(pid, startTick)
    this.scan()
  }

  /** When this child of the worker has started; 0 if it has ended since, or cannot be read now. */
  #startOfChild(pid: number): number {
    // The process may begin this session or group, and leave others in it. No older one has the number.
    this.#known.addGroup(pid, { startTick: 0, session: pid })
    try {
      const stat = platform.statOf(pid)
      // Once the worker has reaped it, another process may have its pid.
      const isChild = stat?.parent === process.pid || stat?.parent === process.ppid
      return isChild ? stat.startTick : 0
    } catch (error) {
      if (!isOutOfDescriptors(error)) throw error
      return 0
    }
  }

  /** How many there are that have not been reaped, as far as is known. */
  get count(): number {
    return this.#roots.size
  }

  /**
   * Forgets ended processes, and notes the descendants of the others, to recognise them as orphans. `withUsage`: also
   * what all of them have used.
   */
  scan(withUsage = false): void {
    try {
      this.forgetEnded()
      for (const [pid, { startTick }] of this.#roots) {
        const stat = platform.statOf(pid)
        if (stat?.startTick !== startTick) continue
        const pids = this.#noteTree(stat)
        if (withUsage) this.usage.look(pid, pids)
      }
      this.#known.prune()
    } catch (error) {
      // A later scan catches up.
      if (!isOutOfDescriptors(error)) throw error
    }
  }

  /**
   * Forgets those that have ended, as far as that can be told. A scan of all processes finds their
   * descendants anyway.
   */
  forgetEnded(): void {
    for (const [pid, { descriptor }] of this.#roots) {
      if (descriptor !== undefined && this.#native?.isReaped(descriptor)) this.#forget(pid)
    }
  }

  /** The process was just reaped, so its pid may be reused. Its leftovers still belong to the scope. */
  reaped(pid: number): void {
    this.#known.groupLeaderEnded(pid)
    this.#forget(pid)
  }

  /** The process was reaped, maybe some time ago. */
  #forget(pid: number): void {
    this.#known.seen.delete(pid)
    // A pid is not reused while a group has that number. If a process has the pid, the old group is gone. Asked in
    // this order: a new process may begin a group with that number between the two questions.
    if (isEmptyGroup(pid) || pidExists(pid)) this.#known.groups.delete(pid)
    this.release(pid)
  }

  /** The process does not belong to the scope any more. */
  release(pid: number): void {
    const descriptor = this.#roots.get(pid)?.descriptor
    if (descriptor !== undefined) closeSync(descriptor)
    this.#roots.delete(pid)
    this.usage.rootEnded(pid)
  }

  /** The scope is closed. */
  close(): void {
    for (const pid of [...this.#roots.keys()]) this.release(pid)
  }

  /** Notes the living processes of a tree, and returns their pids. */
  #noteTree(root: ProcessStat): number[] {
    const pids: number[] = []
    visitTree(root.pid, (pid) => {
      const stat = platform.statOf(pid)
      if (!stat?.alive) return []
      pids.push(pid)
      this.#known.remember(stat)
      return platform.childrenOf(stat)
    })
    return pids
  }
}
