/** Describes a process for people, from what ps tells: its command, age, memory and processor time. */

import type { ProcessStat, ScopeProcess } from '../platform.js'
import { shortCommand } from '../short-command.js'
import { statOf } from './listed-processes.js'
import { PsReading } from './ps-reading.js'
import { secondsNow } from './wall-clock.js'

interface Usage {
  readonly memoryBytes: number
  readonly cpuMs: number
}

// Apart from the list of processes: macOS may refuse these columns, and then the list is short of them.
const usages = new PsReading(['-A', '-o', 'pid=', '-o', 'rss=', '-o', 'time='], (output) => {
  const byPid = new Map<number, Usage>()
  for (const line of output.split('\n')) {
    const [, pid, kilobytes, time = ''] = /^\s*(\d+)\s+(\d+)\s+([\d:.-]+)\s*$/.exec(line) ?? []
    byPid.set(Number(pid), { memoryBytes: Number(kilobytes) * 1_024, cpuMs: millisecondsIn(time) })
  }
  return byPid
})

/** `knownCommand` as in `commandOf`. Memory and processor time are 0 where ps does not tell them. */
export function describeProcess(stat: ProcessStat, knownCommand?: string): ScopeProcess {
  const { pid, parent, startTick } = stat
  const { memoryBytes = 0, cpuMs = 0 } = usageOf(pid) ?? {}
  const ageMs = Math.max(0, secondsNow() - startTick) * 1_000
  return { pid, parent, command: commandOf(stat, knownCommand), ageMs, memoryBytes, cpuMs }
}

/** The command line, for people. Without one it is `knownCommand`, or else the name in brackets. */
export function commandOf(stat: ProcessStat, knownCommand = bracketedNameOf(stat)): string {
  return commandIn(argumentTextOf(stat.pid)) ?? knownCommand
}

/** The command line, whole. Undefined if the process is gone, empty if it has released its memory. */
export function argumentTextOf(pid: number): string | undefined {
  return statOf(pid)?.command
}

/** The command line in such a text, for people. Undefined if there is none. */
export function commandIn(argumentText: string | undefined): string | undefined {
  return argumentText === undefined || argumentText === '' ? undefined : shortCommand(argumentText)
}

export function bracketedNameOf({ name }: ProcessStat): string {
  return `[${name}]`
}

function usageOf(pid: number): Usage | undefined {
  try {
    return usages.get().get(pid)
  } catch {
    // It is for people only: whatever else needs ps tells that it fails.
    return undefined
  }
}

/** Of '1-02:03:04' (Linux), or '123:45.67' (macOS, BSD). */
function millisecondsIn(time: string): number {
  const [clock = '', days = 0] = time.split('-').reverse()
  const seconds = clock.split(':').reduce((sum, part) => sum * 60 + Number(part), 0)
  return Math.round((Number(days) * 86_400 + seconds) * 1_000)
}
