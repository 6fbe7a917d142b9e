/**
 * What Windows tells about processes: with native calls a list of all of them, without only whether one exists.
 */

import type { ProcessStat, QuickUsage, ScopeProcess } from '../platform.js'
import { shortCommand } from '../short-command.js'
import type { ListProcesses, WindowsProcess } from './system-processes.js'

let listProcesses: ListProcesses | undefined
let commandLineOf: (pid: number) => string | undefined = () => undefined
let current: ReadonlyMap<number, WindowsProcess> | undefined

/** From now on this process can list processes, and read the command lines of some. */
export function useProcessList(
  list: ListProcesses,
  readCommandLine: (pid: number) => string | undefined
): void {
  listProcesses = list
  commandLineOf = readCommandLine
}

/** All processes, by pid. One list serves for one turn of the event loop. Empty without native calls. */
function processesNow(): ReadonlyMap<number, WindowsProcess> {
  if (current !== undefined) return current
  // One that has ended is listed as long as anybody holds a handle of it.
  const running = (listProcesses?.() ?? []).filter(({ threads }) => threads > 0)
  current = new Map(running.map((process) => [process.pid, process]))
  setImmediate(() => {
    current = undefined
  })
  return current
}

export function statOf(pid: number): ProcessStat | undefined {
  if (listProcesses === undefined) return exists(pid) ? statFrom({ pid }) : undefined
  const found = processesNow().get(pid)
  return found === undefined ? undefined : statFrom(found)
}

export function allPids(): number[] {
  return [...processesNow().keys()]
}

export function allProcesses(isLeftOut: (pid: number) => boolean = () => false): ProcessStat[] {
  return [...processesNow().values()].filter(({ pid }) => !isLeftOut(pid)).map(statFrom)
}

/** The children that are younger than their parent: another process may have had its pid before. */
export function childrenOf({ pid }: { readonly pid: number }): number[] {
  const processes = processesNow()
  const parent = processes.get(pid)
  if (parent === undefined) return []
  const children = [...processes.values()].filter(
    (child) => child.parent === pid && child.createdAt >= parent.createdAt
  )
  return children.map((child) => child.pid)
}

/** The same by a list of this moment: not even a child that was started in this turn is missing. */
export function childrenNow(pid: number): number[] {
  current = undefined
  return childrenOf({ pid })
}

export function describeProcess(stat: ProcessStat, knownCommand?: string): ScopeProcess {
  const { pid, parent, startTick } = stat
  const ageMs = startTick === 0 ? 0 : Math.max(0, Date.now() - startTick)
  return { pid, parent, command: commandOf(stat, knownCommand), ageMs, ...quickUsageOf(stat) }
}

/** The number of 0 ms and 0 bytes stands for what is not known. */
export function quickUsageOf({ pid }: ProcessStat): QuickUsage {
  const { memoryBytes = 0, cpuMs = 0 } = processesNow().get(pid) ?? {}
  return { memoryBytes, cpuMs }
}

/** Windows has no state for a whole process: '?' stands for one that runs. */
export function statFrom(process: Partial<WindowsProcess> & { readonly pid: number }): ProcessStat {
  const { pid, parent = 0, name = '', createdAt = 0, cpuMs = 0, threads = 1 } = process
  return {
    pid,
    parent,
    name,
    state: '?',
    group: 0,
    session: 0,
    startTick: createdAt,
    cpuTicks: cpuMs,
    threads,
    image: '',
    alive: true,
    ending: false
  }
}

export function commandOf(stat: ProcessStat, knownCommand?: string): string {
  return shortCommand(knownCommand ?? commandLineOf(stat.pid) ?? bracketedNameOf(stat))
}

export function bracketedNameOf({ name, pid }: ProcessStat): string {
  return `[${name || `process ${pid}`}]`
}

function exists(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
