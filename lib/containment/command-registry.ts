/** The commands of a scope, and which of them a process comes from: by descent, environment or session. */

import type { FirstSignalTo } from '../options.js'
import { environmentTextOf, type ProcessStat, statOf, variableIn } from '../platform/current.js'
import { commandNumberName, markName } from '../wire/mark.js'
import { isEmptyGroup, KnownProcesses, type OwnGroup } from './known-processes.js'

interface Running {
  /** The process that leads the command. */
  readonly pid: number
  readonly firstSignalTo: FirstSignalTo | undefined
}

export class CommandRegistry {
  readonly #mark: string
  /** Those whose leader runs, by number of the command. */
  readonly #running = new Map<number, Running>()
  readonly #numberByLeader = new Map<number, number>()
  #alone = 0
  /** The groups and sessions of commands whose leader has ended and left something in them, by number of the command. */
  readonly #left = new Map<number, { readonly groups: readonly number[]; readonly known: KnownProcesses }>()
  /** What was seen of the commands that are being ended, by number of the command. */
  readonly #watched = new Map<number, KnownProcesses>()

  /** `mark` is that of the scope. */
  constructor(mark: string) {
    this.#mark = mark
  }

  started(number: number, pid: number, firstSignalTo?: FirstSignalTo): void {
    this.#running.set(number, { pid, firstSignalTo })
    if (firstSignalTo === 'command') this.#alone++
    this.#numberByLeader.set(pid, number)
  }

  /** The leader has ended. `left` are its groups and sessions that have members, which are known by that from now on. */
  leaderEnded(pid: number, left: ReadonlyMap<number, OwnGroup>): void {
    const number = this.#numberByLeader.get(pid)
    if (number === undefined) return
    this.#numberByLeader.delete(pid)
    if (this.#running.get(number)?.firstSignalTo === 'command') this.#alone--
    this.#running.delete(number)
    if (left.size === 0) return
    for (const [other, { groups }] of this.#left) if (groups.every(isEmptyGroup)) this.#left.delete(other)
    const known = this.#watched.get(number) ?? new KnownProcesses()
    for (const [group, founding] of left) known.groups.set(group, founding)
    this.#left.set(number, { groups: [...left.keys()], known })
  }

  /** Whether its own process has not ended, as far as is known. */
  isRunning(number: number): boolean {
    return this.#running.has(number)
  }

  /** Whether the process leads its command. */
  isLeader(pid: number): boolean {
    return this.#numberByLeader.has(pid)
  }

  /** The command that the process leads. */
  numberOfLeader(pid: number): number | undefined {
    return this.#numberByLeader.get(pid)
  }

  /** Whether one of them is to get the first signal alone, whatever its scope says. */
  get hasLeaderFirst(): boolean {
    return this.#alone > 0
  }

  /** What the command was started with. */
  firstSignalTo(number: number): FirstSignalTo | undefined {
    return this.#running.get(number)?.firstSignalTo
  }

  /** The command that a process of the scope comes from whose parent says nothing; undefined where nothing else does either. */
  numberOf(stat: ProcessStat): number | undefined {
    const leads = this.#numberByLeader.get(stat.pid)
    if (leads !== undefined) return leads
    for (const [number, known] of this.#watched) if (known.hasSeen(stat)) return number
    const number = this.#numberIn(stat) ?? this.#numberOfSession(stat)
    if (number !== undefined) this.noteMember(number, stat)
    return number
  }

  /** The same by process id, of a process whose number is its own. */
  numberOfPid(pid: number): number | undefined {
    const leads = this.#numberByLeader.get(pid)
    if (leads !== undefined) return leads
    const stat = statOf(pid)
    return stat === undefined ? undefined : this.numberOf(stat)
  }

  /** The commands of processes of the scope, by process id. What descends from a process comes from the same command. */
  numbersOf(members: readonly { readonly stat: ProcessStat }[]): Map<number, number | undefined> {
    const byPid = new Map(members.map(({ stat }) => [stat.pid, stat]))
    const numbers = new Map<number, number | undefined>()
    for (const { stat } of members) {
      // Up to a process whose command is known, or whose parent is not of the scope.
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

  /** The command is about to be ended. */
  startEnding(number: number): void {
    if (!this.#watched.has(number)) {
      this.#watched.set(number, this.#left.get(number)?.known ?? new KnownProcesses())
    }
  }

  /** A process of a command that is being ended was seen: it is known when its parent is gone. */
  noteMember(number: number, stat: ProcessStat): void {
    this.#watched.get(number)?.remember(stat)
  }

  /** The command is ended. */
  finishEnding(number: number): void {
    this.#watched.delete(number)
    this.#left.delete(number)
  }

  /** As its environment says. Without the mark of this very scope the number is another worker's. */
  #numberIn({ pid, ending }: ProcessStat): number | undefined {
    const text = ending ? undefined : environmentTextOf(pid)
    if (text === undefined || variableIn(text, markName) !== this.#mark) return undefined
    const number = Number(variableIn(text, commandNumberName))
    return Number.isInteger(number) && number > 0 ? number : undefined
  }

  #numberOfSession(stat: ProcessStat): number | undefined {
    const leads = this.#numberByLeader.get(stat.session) ?? this.#numberByLeader.get(stat.group)
    if (leads !== undefined) return leads
    for (const [number, known] of this.#watched) if (known.ownsGroupOf(stat)) return number
    for (const [number, { known }] of this.#left) if (known.ownsGroupOf(stat)) return number
    return undefined
  }
}
