/** Gives the processes of each scope their priority. It is only ever lowered: what has less keeps what it has. */

import { getPriority, setPriority } from 'node:os'
import { visitTree } from '../containment/process-tree.js'
import type { ScopeRecord } from '../containment/scope-record.js'
import { isOutOfDescriptors, type NativeCalls, platform } from '../platform/current.js'
import type { ResolvedPriority } from '../priority-options.js'

export interface CommandPrioritiesParts {
  readonly native: NativeCalls | undefined
  readonly warn: (message: string) => void
}

export class CommandPriorities {
  readonly #parts: CommandPrioritiesParts
  /** The warnings that were given: one of each kind is enough. */
  readonly #warnings = new Set<string>()

  constructor(parts: CommandPrioritiesParts) {
    this.#parts = parts
    platform.oomScores?.prepare()
  }

  /**
   * Starts a process by `start`. It inherits what this process has meanwhile. So nothing that it starts can be without,
   * however fast it is.
   */
  startWith<Result>(priority: ResolvedPriority, start: () => Result): Result {
    const { oomScores } = platform
    const startWithIo = (): Result => this.#startWithIo(priority, start)
    if (oomScores === undefined) {
      this.#warnOfOomScore(priority, 'this system has none')
      return startWithIo()
    }
    return oomScores.whileRaised(priority.oomScoreAdj, startWithIo, (code) =>
      this.#warnOfOomScore(priority, code)
    )
  }

  #startWithIo<Result>({ io }: ResolvedPriority, start: () => Result): Result {
    if (io === undefined) return start()
    const ioPriorities = this.#parts.native?.ioPriorities
    if (ioPriorities !== undefined) return ioPriorities.whileSet(io, start, () => this.#warnOfIo())
    this.#warnOfIo()
    return start()
  }

  /**
   * Sets the nice value of a process that was just started. Not before the start, as the rest: only a process with rights
   * could take its own value back.
   */
  started(pid: number, priority: ResolvedPriority): void {
    if (priority.nice !== undefined) bestEffort(() => this.#started(pid, priority.nice as number))
  }

  #started(pid: number, nice: number): void {
    if (nice <= getPriority()) return
    // Its group, too: on a busy machine it may have started others by now.
    if (this.#parts.native?.setNiceOfGroup(pid, nice) !== true) this.#setNice(pid, nice)
    const { setNiceOfSession } = platform
    if (setNiceOfSession !== undefined && platform.statOf(pid)?.session === pid) setNiceOfSession(pid, nice)
  }

  /** For a process that the keeper did not start, and what it has started by now. */
  adopted(scope: ScopeRecord, pid: number): void {
    bestEffort(() => this.#adopted(scope, pid))
  }

  #adopted({ external, seen, priority }: ScopeRecord, pid: number): void {
    // Where processes are listed by another program, a look at each would take too long.
    if (platform.oomScores === undefined) {
      this.started(pid, priority)
      return
    }
    const root = platform.statOf(pid)
    // Its pid may have been reused.
    if (root === undefined || !external.has(pid) || seen.get(pid) !== root.startTick) return
    if (priority.nice !== undefined && root.session === pid) platform.setNiceOfSession?.(pid, priority.nice)
    // Parents before their children: what a process starts after its turn has its priority from birth.
    visitTree(pid, (at) => {
      this.#lower(at, priority)
      const stat = platform.statOf(at)
      return stat?.alive ? platform.childrenOf(stat) : []
    })
  }

  #lower(pid: number, priority: ResolvedPriority): void {
    const failure = platform.oomScores?.raise(pid, priority.oomScoreAdj)
    if (failure !== undefined) this.#warnOfOomScore(priority, failure)
    if (priority.nice !== undefined) this.#setNice(pid, priority.nice)
    if (priority.io === undefined) return
    const ioPriorities = this.#parts.native?.ioPriorities
    if (ioPriorities === undefined) this.#warnOfIo()
    else ioPriorities.setOf(pid, priority.io)
  }

  #setNice(pid: number, nice: number): void {
    try {
      if (getPriority(pid) < nice) setPriority(pid, nice)
    } catch (error) {
      const { code } = (error as { info?: { code?: string } }).info ?? {}
      // It has ended.
      if (code !== 'ESRCH') this.#warn(`priority.nice has no effect: setpriority ${code}`)
    }
  }

  #warnOfOomScore({ isOomScoreAdjGiven }: ResolvedPriority, why: string): void {
    if (isOomScoreAdjGiven) this.#warn(`priority.oomScoreAdj has no effect: ${why}`)
  }

  #warnOfIo(): void {
    this.#warn('priority.ioClass has no effect: it needs Linux and the optional dependency')
  }

  #warn(message: string): void {
    if (this.#warnings.has(message)) return
    this.#warnings.add(message)
    this.#parts.warn(message)
  }
}

/** Without a file descriptor a process keeps the priority that it has. */
function bestEffort(act: () => void): void {
  try {
    act()
  } catch (error) {
    if (!isOutOfDescriptors(error)) throw error
  }
}
