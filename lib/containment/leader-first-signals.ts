/** Delays the first signal for the other processes of a command until its leader has ended. */

import { type ProcessStat, platform } from '../platform/current.js'
import type { Member } from './census.js'
import { processKey } from './process-identity.js'
import type { ScopeRecord } from './scope-record.js'

interface Delayed {
  readonly command: number
  readonly stat: ProcessStat
}

export class LeaderFirstSignals {
  readonly #scope: ScopeRecord
  readonly #killSignal: NodeJS.Signals
  /** The processes that have not got the signal yet, by key. */
  readonly #delayed = new Map<string, Delayed>()

  constructor(scope: ScopeRecord, killSignal: NodeJS.Signals) {
    this.#scope = scope
    this.#killSignal = killSignal
  }

  get any(): boolean {
    return this.#delayed.size > 0
  }

  has(stat: ProcessStat): boolean {
    return this.#delayed.has(processKey(stat))
  }

  /** Returns the living members that get the signal at once, and delays it for the others. */
  holdBack(living: readonly Member[]): readonly Member[] {
    const { commands, firstSignalTo } = this.#scope
    if (firstSignalTo !== 'command' && !commands.hasLeaderFirst) return living
    const numbers = commands.numbersOf(living)
    const others = living.filter(({ stat }) => !commands.isLeader(stat.pid))
    const led = this.#commandsToWaitFor(living, new Set(others.map(({ stat }) => numbers.get(stat.pid))))
    return living.filter(({ stat }) => {
      const command = numbers.get(stat.pid)
      if (command === undefined || !led.has(command) || commands.isLeader(stat.pid)) return true
      this.#delayed.set(processKey(stat), { command, stat })
      return false
    })
  }

  /**
   * The groups of commands whose leader has ended, where an orphan in the group is a child of this process.
   * Each comes with the delayed processes in it, which are delayed no longer. Found without a scan of the
   * whole tree.
   */
  takeGroupsOfEndedCommands(): Map<number, ProcessStat[]> {
    const groups = new Map<number, ProcessStat[]>()
    for (const { command, stat } of this.#delayed.values()) {
      if (groups.has(stat.group) || this.#scope.commands.isRunning(command)) continue
      const now = platform.statOf(stat.pid)
      if (now?.startTick !== stat.startTick || now.parent !== process.pid || now.group !== stat.group)
        continue
      groups.set(stat.group, [])
    }
    for (const [key, { stat }] of this.#delayed) {
      const due = groups.get(stat.group)
      due?.push(stat)
      if (due !== undefined) this.#delayed.delete(key)
    }
    return groups
  }

  /** The living members that need not wait any longer: their leader has ended, or the time is up. */
  takeDue(living: readonly Member[], isTimeUp: boolean): Member[] {
    const commands = new Set([...this.#delayed.values()].map(({ command }) => command))
    const led = this.#commandsToWaitFor(living, commands)
    const due = living.filter(({ stat }) => {
      const delayed = this.#delayed.get(processKey(stat))
      return delayed !== undefined && (isTimeUp || !led.has(delayed.command))
    })
    if (isTimeUp) this.#delayed.clear()
    else for (const { stat } of due) this.#delayed.delete(processKey(stat))
    return due
  }

  /**
   * Of these commands, those whose leader gets the signal alone and is among the living. A leader that dies
   * of the signal by its default action does not count: it passes nothing on, and the tree ends sooner when
   * all of it gets the signal at once.
   */
  #commandsToWaitFor(living: readonly Member[], among: ReadonlySet<number | undefined>): Set<number> {
    const { commands, firstSignalTo } = this.#scope
    const led = new Set<number>()
    for (const { stat } of living) {
      const command = stat.ending ? undefined : commands.numberOfLeader(stat.pid)
      if (command === undefined || !among.has(command)) continue
      if ((commands.firstSignalTo(command) ?? firstSignalTo) !== 'command') continue
      if (!platform.hasDefaultAction(stat.pid, this.#killSignal)) led.add(command)
    }
    return led
  }
}
