/** The commands of a scope, and which command a process comes from: by descent, environment or session. */

import type { FirstSignalTo } from '../options.js'
import { type ProcessStat, platform } from '../platform/current.js'
import { commandNumberName, markName } from '../wire/mark.js'
import { KnownProcesses, type OwnGroup } from './known-processes.js'
import { isEmptyGroup } from './process-identity.js'

interface Leftovers {
  readonly groups: readonly number[]
  readonly known: KnownProcesses
}

export class CommandRegistry {
  readonly #mark: string
  /** The commands whose leader runs: the `firstSignalTo` that each was started with, by command number. */
  readonly #running = new Map<number, FirstSignalTo | undefined>()
  readonly #numberByLeader = new Map<number, number>()
  #leaderFirstCount = 0
  /** The groups and sessions that still had members when the leader of a command ended, by command number. */
  readonly #leftovers = new Map<number, Leftovers>()
  /** The processes that scans have found of the commands that are being ended, by command number. */
  readonly #ending = new Map<number, KnownProcesses>()

  /** `mark` is the mark of the scope. */
  constructor(mark: string) {
    this.#mark = mark
  }

  started(number: number, pid: number, firstSignalTo?: FirstSignalTo): void {
    this.#running.set(number, firstSignalTo)
    if (firstSignalTo === 'command') this.#leaderFirstCount++
    this.#numberByLeader.set(pid, number)
  }

  /** The leader has ended. `left`: its groups and sessions with members, which are recognised by these. */
  leaderEnded(pid: number, left: ReadonlyMap<number, OwnGroup>): void {
    const number = this.#numberByLeader.get(pid)
    if (number === undefined) return
    this.#numberByLeader.delete(pid)
    if (this.#running.get(number) === 'command') this.#leaderFirstCount--
    this.#running.delete(number)
    if (left.size === 0) return
    for (const [other, { groups }] of this.#leftovers) {
      if (groups.every(isEmptyGroup)) this.#leftovers.delete(other)
    }
    const known = this.#ending.get(number) ?? new KnownProcesses()
    for (const [group, own] of left) known.groups.set(group, own)
    this.#leftovers.set(number, { groups: [...left.keys()], known })
  }

  /** Whether the leader of the command has not ended, as far as is known. */
  isRunning(number: number): boolean {
    return this.#running.has(number)
  }

  /** Whether the process is the leader of a command. */
  isLeader(pid: number): boolean {
    return this.#numberByLeader.has(pid)
  }

  /** The command whose leader the process is. */
  numberOfLeader(pid: number): number | undefined {
    return this.#numberByLeader.get(pid)
  }

  /** Whether a running command wants the first signal for its leader alone, whatever the scope says. */
  get hasLeaderFirst(): boolean {
    return this.#leaderFirstCount > 0
  }

  /** The option that the command was started with. */
  firstSignalTo(number: number): FirstSignalTo | undefined {
    return this.#running.get(number)
  }

  /** The command of a process whose parent does not tell it; undefined if nothing else tells it either. */
  numberOf(stat: ProcessStat): number | undefined {
    const led = this.#numberByLeader.get(stat.pid)
    if (led !== undefined) return led
    for (const [number, known] of this.#ending) if (known.hasSeen(stat)) return number
    const number = this.#numberInEnvironment(stat) ?? this.#numberOfSession(stat)
    if (number !== undefined) this.noteMember(number, stat)
    return number
  }

  /** The same by pid, for a process whose pid cannot have been reused. */
  numberOfPid(pid: number): number | undefined {
    const led = this.#numberByLeader.get(pid)
    if (led !== undefined) return led
    const stat = platform.statOf(pid)
    return stat === undefined ? undefined : this.numberOf(stat)
  }

  /** The commands of processes of the scope, by pid. Descendants of a process come from the same command. */
  numbersOf(members: readonly { readonly stat: ProcessStat }[]): Map<number, number | undefined> {
    const byPid = new Map(members.map(({ stat }) => [stat.pid, stat]))
    const numbers = new Map<number, number | undefined>()
    for (const { stat } of members) {
      // Up to an ancestor whose command is known, or whose parent is not in the scope.
      const line: ProcessStat[] = []
      let at: ProcessStat | undefined = stat
      while (at !== undefined && !numbers.has(at.pid)) {
        line.push(at)
        numbers.set(at.pid, this.#numberByLeader.get(at.pid))
        at = this.isLeader(at.pid) ? undefined : byPid.get(at.parent)
      }
      const last = line.at(-1)
      if (last === undefined) continue
      const number = (at === undefined ? undefined : numbers.get(at.pid)) ?? this.numberOf(last)
      for (const { pid } of line) numbers.set(pid, number)
    }
    return numbers
  }

  /** The command is about to be ended: remember its processes. */
  startEnding(number: number): void {
    if (!this.#ending.has(number)) {
      this.#ending.set(number, this.#leftovers.get(number)?.known ?? new KnownProcesses())
    }
  }

  /**
   * A scan found this process of the command. While the command is being ended, remember it, to recognise it
   * after its parent has ended.
   */
  noteMember(number: number, stat: ProcessStat): void {
    this.#ending.get(number)?.remember(stat)
  }

  /** The command has been ended. */
  finishEnding(number: number): void {
    this.#ending.delete(number)
    this.#leftovers.delete(number)
  }

  /** The number in the environment. Without the mark of this scope, it is another worker's number. */
  #numberInEnvironment({ pid, ending }: ProcessStat): number | undefined {
    const text = ending ? undefined : platform.environmentTextOf(pid)
    if (text === undefined || platform.variableIn(text, markName) !== this.#mark) return undefined
    const number = Number(platform.variableIn(text, commandNumberName))
    return Number.isInteger(number) && number > 0 ? number : undefined
  }

  #numberOfSession(stat: ProcessStat): number | undefined {
    const led = this.#numberByLeader.get(stat.session) ?? this.#numberByLeader.get(stat.group)
    if (led !== undefined) return led
    for (const [number, known] of this.#ending) if (known.ownsGroupOf(stat)) return number
    for (const [number, { known }] of this.#leftovers) if (known.ownsGroupOf(stat)) return number
    return undefined
  }
}
