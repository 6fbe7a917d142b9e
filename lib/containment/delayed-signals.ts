/** The processes that do not get the first signal before their command has got it and gone. */

import { hasDefaultAction, type ProcessStat, statOf } from '../platform/current.js'
import { processKey } from './known-processes.js'
import type { Member, ScopeRecord } from './scope-record.js'

interface Held {
  readonly command: number
  readonly stat: ProcessStat
}

export class DelayedSignals {
  readonly #scope: ScopeRecord
  readonly #killSignal: NodeJS.Signals
  /** By pid and start time. */
  readonly #held = new Map<string, Held>()

  constructor(scope: ScopeRecord, killSignal: NodeJS.Signals) {
    this.#scope = scope
    this.#killSignal = killSignal
  }

  get any(): boolean {
    return this.#held.size > 0
  }

  has(stat: ProcessStat): boolean {
    return this.#held.has(processKey(stat))
  }

  /** Of all that live, those that get the signal at once. The others are held back from now on. */
  holdBack(living: readonly Member[]): readonly Member[] {
    const { commands, firstSignalTo } = this.#scope
    if (firstSignalTo !== 'command' && !commands.hasLeaderFirst) return living
    const numbers = commands.numbersOf(living)
    const others = living.filter(({ stat }) => !commands.isLeader(stat.pid))
    const led = this.#ledAmong(living, new Set(others.map(({ stat }) => numbers.get(stat.pid))))
    return living.filter(({ stat }) => {
      const command = numbers.get(stat.pid)
      if (command === undefined || !led.has(command) || commands.isLeader(stat.pid)) return true
      this.#held.set(processKey(stat), { command, stat })
      return false
    })
  }

  /**
   * The groups of commands that have gone, in each of which an orphan of theirs is a child of this process, with those that were held
   * back in them and are no longer: known without a look at the whole tree.
   */
  takeGroupsOfEndedCommands(): Map<number, ProcessStat[]> {
    const groups = new Map<number, ProcessStat[]>()
    for (const { command, stat } of this.#held.values()) {
      if (groups.has(stat.group) || this.#scope.commands.isRunning(command)) continue
      const now = statOf(stat.pid)
      if (now?.startTick !== stat.startTick || now.parent !== process.pid || now.group !== stat.group)
        continue
      groups.set(stat.group, [])
    }
    for (const [key, { stat }] of this.#held) {
      const taken = groups.get(stat.group)
      taken?.push(stat)
      if (taken !== undefined) this.#held.delete(key)
    }
    return groups
  }

  /** Of all that live, those that were held back and are no longer: their command has gone, or the time is up. */
  takeDue(living: readonly Member[], isTimeUp: boolean): Member[] {
    const led = this.#ledAmong(living, new Set([...this.#held.values()].map(({ command }) => command)))
    const taken = living.filter(({ stat }) => {
      const held = this.#held.get(processKey(stat))
      return held !== undefined && (isTimeUp || !led.has(held.command))
    })
    if (isTimeUp) this.#held.clear()
    else for (const { stat } of taken) this.#held.delete(processKey(stat))
    return taken
  }

  /**
   * Of these commands, those that are asked alone, and whose own process is among these. One that dies of the signal by itself is as good as gone: it
   * passes nothing on, and its tree ends sooner when all of it is asked at once.
   */
  #ledAmong(living: readonly Member[], among: ReadonlySet<number | undefined>): Set<number> {
    const { commands, firstSignalTo } = this.#scope
    const led = new Set<number>()
    for (const { stat } of living) {
      const command = stat.ending ? undefined : commands.numberOfLeader(stat.pid)
      if (command === undefined || !among.has(command)) continue
      if ((commands.firstSignalTo(command) ?? firstSignalTo) !== 'command') continue
      if (!hasDefaultAction(stat.pid, this.#killSignal)) led.add(command)
    }
    return led
  }
}
