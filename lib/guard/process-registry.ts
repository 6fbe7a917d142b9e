/** The processes of one scope that the worker knows: running commands, and adopted and released processes. */

import { ChildProcess } from 'node:child_process'
import pTimeout from 'p-timeout'
import { SubprocessOptionError } from '../errors.js'
import type { KeeperLink } from '../link/keeper-link.js'
import { platform } from '../platform/current.js'
import { KeeperSubprocess } from '../subprocess/keeper-subprocess.js'
import type { SubprocessOwner } from '../subprocess/subprocess-owner.js'
import type { ProcessName } from '../wire/messages.js'
import { type LostProcesses, startTickOf } from './keeper-loss.js'
import type { Place } from './launch-places.js'
import type { Adoptable } from './validate-adopted-process.js'

// How long the end of a scope waits for a released command that is still starting.
const releasedWithinMs = 2_000

/** The scope at one keeper. */
type Keeper = Pick<SubprocessOwner, 'link' | 'keeperScope'>

export class ProcessRegistry {
  readonly #running = new Set<ChildProcess>()
  readonly #released = new Set<ChildProcess>()
  readonly #keeperByCommand = new WeakMap<ChildProcess, Keeper>()
  /** By pid. If the keeper is lost, the worker has to end them. */
  readonly #adopted = new Map<number, ProcessName & { readonly keeper: Keeper }>()
  /** Adopted first and released later. */
  readonly #releasedAdopted: ProcessName[] = []
  /** Commands that were released before their start. `started`: they have started, or have failed to. */
  readonly #pendingReleases: { readonly child: ChildProcess; readonly started: Promise<void> }[] = []
  /** Undefined until a command has a place. */
  #places: Map<ChildProcess, Place> | undefined

  /** Adds a command that is starting at this keeper, or that waits for its place. */
  add(child: ChildProcess, keeper: Keeper, place: Place | undefined): void {
    this.#keeperByCommand.set(child, keeper)
    this.#running.add(child)
    if (place === undefined) return
    this.#places ??= new Map()
    this.#places.set(child, place)
  }

  /** Moves a command that is still starting to another keeper. */
  move(child: ChildProcess, keeper: Keeper): void {
    this.#keeperByCommand.set(child, keeper)
  }

  /** Gives the place of a command to the next one. Does nothing if it has none. */
  leavePlace(child: ChildProcess): void {
    const place = this.#places?.get(child)
    if (place === undefined) return
    this.#places?.delete(child)
    place.leave()
  }

  /** The scope closes: commands that wait for their place fail, except those that are to outlive it. */
  cancelWaiting(): void {
    if (this.#places === undefined) return
    for (const child of [...this.#places.keys()]) if (!this.isPendingRelease(child)) cancelIfWaiting(child)
  }

  /** Removes a command that has exited or could not be started. */
  delete(child: ChildProcess): void {
    this.#running.delete(child)
  }

  get hasRunningCommand(): boolean {
    return this.#running.size > 0
  }

  /** How many commands run or are being started, without those that wait for their place. */
  get runningCommands(): number {
    if (this.#places === undefined) return this.#running.size
    return [...this.#running].filter((child) => !this.#places?.get(child)?.isWaiting).length
  }

  /** The keeper that a command was started at. */
  linkOf(child: ChildProcess): KeeperLink | undefined {
    return this.#keeperByCommand.get(child)?.link
  }

  isReleased(child: ChildProcess): boolean {
    return this.#released.has(child)
  }

  /** Adopts a process; `child` is what the user passed to `adopt()`. */
  adopt(child: Adoptable, process: ProcessName, keeper: Keeper): void {
    const { pid } = process
    const { link, keeperScope } = keeper
    link.adopt(keeperScope, process)
    this.#adopted.set(pid, { ...process, keeper })
    if (child instanceof ChildProcess) {
      child.once('exit', () => {
        link.reportReaped(keeperScope, pid)
        this.#adopted.delete(pid)
      })
    }
  }

  /** Releases a running command or an adopted process. Throws a TypeError for anything else. */
  release(child: Adoptable): void {
    const pid = typeof child === 'number' ? child : child?.pid
    const command =
      child instanceof ChildProcess
        ? this.#running.has(child) && child
        : [...this.#running].find((running) => running.pid !== undefined && running.pid === pid)
    if (command) this.#releaseCommand(command)
    else if (pid === undefined || !this.#releaseAdopted(child, pid)) {
      throw new SubprocessOptionError('child', pid, 'give a running subprocess of this scope')
    }
  }

  #releaseCommand(child: ChildProcess): void {
    if (child.pid !== undefined && !this.linkOf(child)?.hasRights) {
      const wayOut = 'it was started with rights that the worker has given up: release it before that'
      throw new SubprocessOptionError('child', child.pid, wayOut)
    }
    this.#refuseUnreleasable(child)
    this.#running.delete(child)
    const release = (): void => {
      this.#released.add(child)
      this.leavePlace(child)
      const keeper = this.#keeperByCommand.get(child)
      keeper?.link.release(keeper.keeperScope, child.pid as number)
    }
    if (child.pid === undefined) {
      const started = new Promise<void>((resolve) => {
        child.once('spawn', () => resolve(release()))
        child.once('close', () => resolve())
      })
      this.#pendingReleases.push({ child, started })
    } else {
      release()
    }
  }

  #refuseUnreleasable(child: ChildProcess): void {
    const containment = this.linkOf(child)?.containment
    if (containment === undefined) return
    const why = platform.whyNoRelease(containment, !(child instanceof KeeperSubprocess))
    if (why !== undefined)
      throw new SubprocessOptionError('child', child.pid, `it cannot outlive its scope: ${why}`)
  }

  /** Returns false if the process was not adopted, has ended, or is at a keeper with other rights. */
  #releaseAdopted(child: Adoptable, pid: number): boolean {
    const adopted = this.#adopted.get(pid)
    const stat = platform.statOf(pid)
    if (adopted === undefined || !adopted.keeper.link.hasRights) return false
    const isSame = adopted.isUnread || stat?.startTick === adopted.startTick
    if (!isSame || !stat?.alive) return false
    if (child instanceof ChildProcess && hasEnded(child)) return false
    if ([...this.#running].some((command) => command.pid === stat.session)) {
      throw new SubprocessOptionError(
        'child',
        pid,
        'it was started by a command of this scope: release that command'
      )
    }
    this.#adopted.delete(pid)
    const { startTick } = stat
    const { keeper } = adopted
    this.#releasedAdopted.push({ pid, startTick })
    keeper.link.releaseAdopted(keeper.keeperScope, { pid, startTick })
    return true
  }

  get hasPendingReleases(): boolean {
    return this.#pendingReleases.length > 0
  }

  /** Whether the command was released before its start, and may still start. */
  isPendingRelease(child: ChildProcess): boolean {
    return this.#pendingReleases.some((pending) => pending.child === child)
  }

  /** Resolves when no released command is starting any more. After 2 s, they may no longer start. */
  async waitForReleases(): Promise<void> {
    const settled = Promise.all(this.#pendingReleases.map(({ started }) => started))
    await pTimeout(settled, { milliseconds: releasedWithinMs, fallback: () => [] })
    for (const { child } of this.#pendingReleases.splice(0)) cancelIfWaiting(child)
  }

  forgetAdopted(): void {
    this.#adopted.clear()
  }

  get hasReleased(): boolean {
    return this.#released.size > 0
  }

  /** What the worker knows of the processes of a lost keeper. */
  lostAt(link: KeeperLink): LostProcesses {
    const leaders: number[] = []
    const external: ProcessName[] = [...this.#adopted.values()]
      .filter(({ keeper }) => keeper.link === link)
      .map(({ keeper: _, ...process }) => process)
    for (const child of this.#running) {
      if (this.linkOf(child) !== link || child.pid === undefined || hasEnded(child)) continue
      if (child instanceof KeeperSubprocess) leaders.push(child.pid)
      else external.push({ pid: child.pid, startTick: startTickOf(child.pid) })
    }
    // The pid of a command that has ended may have been reused.
    const releasedCommands = [...this.#released].flatMap((child) =>
      hasEnded(child) ? [] : (child.pid ?? [])
    )
    return { leaders, external, releasedCommands, releasedAdopted: this.#releasedAdopted }
  }
}

function cancelIfWaiting(child: ChildProcess): void {
  if (child instanceof KeeperSubprocess) child.cancelIfWaiting()
}

function hasEnded({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode !== null || signalCode !== null
}
