/** Describes a process for people: its command and age, and what it has used. */

import type { ProcessStat, ScopeProcess } from '../platform.js'
import { ticksPerSecond } from './boot-clock.js'
import { commandOf } from './process-command.js'
import { numberIn, storageOf } from './process-usage.js'
import { readProc } from './read-proc.js'

const msPerTick = 1_000 / ticksPerSecond

/** `knownCommand` as in `commandOf`. */
export function describeProcess(stat: ProcessStat, knownCommand?: string): ScopeProcess {
  const { pid, parent, startTick, cpuTicks } = stat
  const uptimeMs = Number(readProc('/proc/uptime')?.split(' ')[0]) * 1_000
  // proc_pid_status(5). Without these lines the process has no memory or is gone.
  const status = readProc(`/proc/${pid}/status`) ?? ''
  return {
    pid,
    parent,
    command: commandOf(stat, knownCommand),
    ageMs: Math.max(0, Math.round(uptimeMs - startTick * msPerTick)),
    memoryBytes: numberIn(status, 'VmRSS') * 1_024,
    cpuMs: cpuTicks * msPerTick,
    peakMemoryBytes: numberIn(status, 'VmHWM') * 1_024,
    ...storageOf(pid)
  }
}
