/** PID namespaces: which one a process is in, and which pids it has. */

import { readFileSync, readlinkSync } from 'node:fs'

/** Identifies the PID namespace of this process: a pid means something only within it. */
export function pidNamespace(): string {
  try {
    return /\d+/.exec(readlinkSync('/proc/self/ns/pid'))?.[0] ?? '0'
  } catch {
    // A kernel without namespaces: all processes are in the same one.
    return '0'
  }
}

/** The PID namespace of a process. Undefined if it is gone or hidden. */
export function pidNamespaceOf(pid: number): string | undefined {
  try {
    return /\d+/.exec(readlinkSync(`/proc/${pid}/ns/pid`))?.[0]
  } catch {
    return undefined
  }
}

/**
 * The pids of a process, one for each namespace that it is visible in: first ours, last its own (NSpid of
 * proc_pid_status(5)).
 */
export function pidsInNamespaces(pid: number): number[] {
  try {
    const [, numbers] = /^NSpid:\s+(.+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1')) ?? []
    return numbers?.split(/\s+/).map(Number) ?? [pid]
  } catch {
    return [pid]
  }
}
