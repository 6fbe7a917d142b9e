/** Records the processes of a scope that were signalled, and how each of them ended, for the report. */

import { type ProcessStat, platform } from '../platform/current.js'
import type { EndedProcess } from '../wire/messages.js'
import type { Member } from './census.js'
import { pidExists, processKey } from './process-identity.js'
import type { ScopeRecord } from './scope-record.js'
import { firstScanLimit } from './scope-scans.js'

/** The log line for a scope whose processes could not be scanned; `scanFailure` says why. */
export const scanFailedMessage = 'the processes of a scope could not be inspected and may still be running'

export class EndedProcesses {
  readonly #scope: ScopeRecord
  /** Every process that was signalled, by key. */
  readonly #byKey = new Map<string, EndedProcess>()
  /** The program that each of them ran when it was signalled, by key. */
  readonly #images = new Map<string, string>()
  /** Processes that were exiting before the first signal: they end by themselves, and are only waited for. */
  #exiting: ReadonlySet<string> | undefined

  constructor(scope: ScopeRecord) {
    this.#scope = scope
  }

  get size(): number {
    return this.#byKey.size
  }

  has(stat: ProcessStat): boolean {
    return this.#byKey.has(processKey(stat))
  }

  /** Whether the process still runs the program that it ran when it was signalled. */
  runsSameProgram(stat: ProcessStat): boolean {
    const key = processKey(stat)
    return !this.#images.has(key) || this.#images.get(key) === stat.image
  }

  /** The arguments, read while the processes live. They are parsed only after the signal was sent. */
  argumentsOfAll(members: readonly Member[]): (string | undefined)[] {
    return members.map(({ stat }, index) => this.#argumentsOf(stat, index))
  }

  noteAll(members: readonly Member[], signal: NodeJS.Signals, texts: readonly (string | undefined)[]): void {
    if (this.#exiting === undefined) {
      this.#exiting = new Set(members.flatMap(({ stat }) => (stat.ending ? [processKey(stat)] : [])))
      const { usage, external } = this.#scope
      usage.noteLiving(
        members.map(({ stat }) => stat),
        external.usage.endedCpuMs
      )
    }
    for (const [index, { stat }] of members.entries()) this.note(stat, signal, texts[index])
  }

  note(stat: ProcessStat, signal: NodeJS.Signals, text = this.#argumentsOf(stat)): void {
    const { pid, image } = stat
    const key = processKey(stat)
    if (this.#exiting?.has(key)) return
    const leader = this.#scope.leaders.get(pid)
    const command =
      this.#byKey.get(key)?.command ?? leader ?? platform.commandIn(text) ?? platform.bracketedNameOf(stat)
    this.#byKey.set(key, { pid, command, ended: signal })
    // The exec of a leader was over before the keeper knew its pid.
    if (leader === undefined) this.#images.set(key, image)
  }

  /** A leader was killed without a scan. */
  noteLeader(pid: number, command: string): void {
    const startTick = this.#scope.seen.get(pid) ?? 0
    this.#byKey.set(processKey({ pid, startTick }), { pid, command, ended: 'SIGKILL' })
  }

  noteSurvivor(stat: ProcessStat, why: string): void {
    this.#byKey.set(processKey(stat), {
      pid: stat.pid,
      command: platform.commandOf(stat),
      ended: 'survived',
      why
    })
  }

  /** No scan succeeds: everything that is known of the scope and may be alive counts as a survivor. */
  noteAllKnown({ message, stack = message }: Error): void {
    const { seen, leaders, orphans } = this.#scope
    this.#scope.scanFailure = stack
    const pids = new Set([...leaders.keys(), ...orphans, ...seen.keys()])
    for (const pid of pids) {
      const startTick = seen.get(pid)
      if (!mayBeAlive(pid, startTick)) continue
      const key = processKey({ pid, startTick: startTick ?? 0 })
      const command = leaders.get(pid) ?? this.#byKey.get(key)?.command
      this.#byKey.set(key, uninspected(pid, startTick, message, command))
    }
  }

  report(): EndedProcess[] {
    for (const key of this.#byKey.keys()) this.#scope.firstSignalled.delete(key)
    return [...this.#byKey.values()]
  }

  /**
   * In a large tree only the first processes are reported with their arguments: the whole tree lives on while
   * they are read. `unnoted` is the number of processes whose arguments were read, and that are not noted
   * yet.
   */
  #argumentsOf(stat: ProcessStat, unnoted = 0): string | undefined {
    if (this.#scope.leaders.has(stat.pid) || this.has(stat)) return undefined
    return this.#byKey.size + unnoted < firstScanLimit ? platform.argumentTextOf(stat.pid) : undefined
  }
}

/** The report of a process that could not be inspected, and may be alive. */
export function uninspected(
  pid: number,
  startTick: number | undefined,
  message: string,
  command = `[started at tick ${startTick ?? 'unknown'}]`
): EndedProcess {
  return { pid, command, ended: 'survived', why: `it could not be inspected: ${message}` }
}

/** Whether the process may be alive, as far as that can be told. */
function mayBeAlive(pid: number, startTick: number | undefined): boolean {
  try {
    const stat = platform.statOf(pid)
    return stat?.alive === true && stat.startTick === (startTick ?? stat.startTick)
  } catch {
    return pidExists(pid)
  }
}
