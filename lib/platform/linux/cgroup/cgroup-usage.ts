/** Reads what the processes of a cgroup have used (cgroup-v2.rst in the kernel's documentation). */

import { join } from 'node:path'
import type { CgroupUsage } from '../../platform.js'
import { figuresOf, readProc } from '../read-proc.js'

/** A file that is missing tells nothing: its controller is not enabled, or the kernel is older. */
export function usageOf(folder: string): CgroupUsage {
  const read = (name: string): string | undefined => figuresOf(() => readProc(join(folder, name)))
  const cpuUs = /^usage_usec (\d+)$/m.exec(read('cpu.stat') ?? '')?.[1]
  const peak = read('pids.peak')
  const storage = read('io.stat')
  return {
    ...(cpuUs === undefined ? {} : { cpuMs: Number(cpuUs) / 1_000 }),
    ...(peak === undefined ? {} : { peakProcesses: Number(peak) }),
    ...(storage === undefined
      ? {}
      : { readBytes: sumIn(storage, 'rbytes'), writtenBytes: sumIn(storage, 'wbytes') })
  }
}

/** The sum of a number that there is for each device. */
function sumIn(text: string, name: string): number {
  let sum = 0
  for (const [, value] of text.matchAll(new RegExp(`\\b${name}=(\\d+)`, 'g'))) sum += Number(value)
  return sum
}
