/** Reads what a process has used: its times, memory, page faults and storage. */

import type { ProcessUsage } from '../platform.js'
import { ticksPerSecond } from './boot-clock.js'
import { readStat } from './process-stat.js'
import { figuresOf, readProc } from './read-proc.js'

const usPerTick = 1_000_000 / ticksPerSecond

/** What a running process has used. Undefined if it is gone, or has released its memory. */
export function usageOf(pid: number): ProcessUsage | undefined {
  return figuresOf(() => readUsage(pid))
}

function readUsage(pid: number): ProcessUsage | undefined {
  const fields = readStat(pid)?.fields
  const status = readProc(`/proc/${pid}/status`)
  // A process without memory has ended or is about to end.
  if (fields === undefined || !status?.includes('VmHWM:')) return undefined
  const at = (index: number): number => Number(fields[index])
  return {
    userUs: (at(11) + at(13)) * usPerTick,
    systemUs: (at(12) + at(14)) * usPerTick,
    maxRssKb: numberIn(status, 'VmHWM'),
    minorFaults: at(7) + at(8),
    majorFaults: at(9) + at(10),
    ...storageOf(pid),
    voluntarySwitches: numberIn(status, 'voluntary_ctxt_switches'),
    involuntarySwitches: numberIn(status, 'nonvoluntary_ctxt_switches')
  }
}

/** The processor time of the children that this process has waited for. */
export function usageOfChildren(): Pick<ProcessUsage, 'userUs' | 'systemUs'> | undefined {
  const fields = figuresOf(() => readStat(process.pid))?.fields
  if (fields === undefined) return undefined
  return { userUs: Number(fields[13]) * usPerTick, systemUs: Number(fields[14]) * usPerTick }
}

/** What a process has read from storage and written to it, in bytes (proc_pid_io(5)); 0 if that is hidden. */
export function storageOf(pid: number): Pick<ProcessUsage, 'readBytes' | 'writtenBytes'> {
  const text = readProc(`/proc/${pid}/io`) ?? ''
  return { readBytes: numberIn(text, 'read_bytes'), writtenBytes: numberIn(text, 'write_bytes') }
}

/** The number in the line of that name; 0 without one. */
export function numberIn(text: string, name: string): number {
  return Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(text)?.[1] ?? 0)
}
