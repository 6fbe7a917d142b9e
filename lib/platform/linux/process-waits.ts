/** Tells what the main thread of a process waits for, and how long it has waited for a processor. */

import { readProc } from './read-proc.js'

/**
 * The place in the kernel where the main thread waits. Undefined if it does not wait, or if that is hidden.
 */
export function kernelWaitOf(pid: number): string | undefined {
  const channel = readProc(`/proc/${pid}/wchan`)
  if (channel !== undefined && channel !== '' && channel !== '0') return channel
  const number = /^\d+/.exec(readProc(`/proc/${pid}/syscall`) ?? '')?.[0]
  return number === undefined ? undefined : `system call ${number}`
}

/**
 * How long the main thread has waited for a processor since it started, in ms. Undefined if that is unknown.
 * It is the second number of `/proc/<pid>/schedstat`, in ns (sched-stats.rst in the kernel's documentation).
 */
export function processorWaitOf(pid: number): number | undefined {
  try {
    const waitedNs = readProc(`/proc/${pid}/schedstat`)?.split(' ')[1]
    return waitedNs === undefined ? undefined : Number(waitedNs) / 1e6
  } catch {
    return undefined
  }
}
