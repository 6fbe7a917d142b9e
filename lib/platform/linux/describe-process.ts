/** Describes a process for people: its command, age, memory and processor time. */

import type { ProcessStat, ScopeProcess } from '../platform.js'
import { ticksPerSecond } from './boot-clock.js'
import { commandOf } from './process-command.js'
import { readProc } from './read-proc.js'

const msPerTick = 1_000 / ticksPerSecond

/** `knownCommand` as in `commandOf`. */
export function describeProcess(stat: ProcessStat, knownCommand?: string): ScopeProcess {
  const { pid, parent, startTick, cpuTicks } = stat
  const uptimeMs = Number(readProc('/proc/uptime')?.split(' ')[0]) * 1_000
  return {
    pid,
    parent,
    command: commandOf(stat, knownCommand),
    ageMs: Math.max(0, Math.round(uptimeMs - startTick * msPerTick)),
    memoryBytes: residentBytesOf(pid),
    cpuMs: cpuTicks * msPerTick
  }
}

/** VmRSS of proc_pid_status(5). 0 if the process has no memory or is gone. */
function residentBytesOf(pid: number): number {
  const [, kilobytes] = /^VmRSS:\s+(\d+) kB$/m.exec(readProc(`/proc/${pid}/status`) ?? '') ?? []
  return Number(kilobytes ?? 0) * 1_024
}
