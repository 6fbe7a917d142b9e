/** PID namespaces: which one a process is in, and what number it has there. */

import { readFileSync, readlinkSync } from 'node:fs'

/** The PID namespace of a process; undefined when it is gone or may not be looked at. */
export function pidNamespaceOf(pid: number): string | undefined {
  try {
    return /\d+/.exec(readlinkSync(`/proc/${pid}/ns/pid`))?.[0]
  } catch {
    return undefined
  }
}

/**
 * The numbers that a process has, one for each namespace in which it is seen: in ours first, in its own last
 * (NSpid of proc_pid_status(5)).
 */
export function numbersOf(pid: number): number[] {
  try {
    const [, numbers] = /^NSpid:\s+(.+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1')) ?? []
    return numbers?.split(/\s+/).map(Number) ?? [pid]
  } catch {
    return [pid]
  }
}
