/** Reads the rights of a process, which it may give up: its users, groups and capabilities. */

import { closeSync, openSync, readSync } from 'node:fs'
import type { ProcessRights } from '../platform.js'

const lines = /^(?:Uid|Gid|Groups|Cap(?:Inh|Prm|Eff|Bnd|Amb)|NoNewPrivs):.*$/gm
const buffer = Buffer.allocUnsafeSlow(64 * 1024)

/** Holds the rights of a process open. Undefined if they are hidden. */
export function openRights(pid: number): ProcessRights | undefined {
  try {
    return new OpenStatus(openSync(`/proc/${pid}/status`, 'r'))
  } catch {
    return undefined
  }
}

/**
 * Whether such rights include any that could be given up: capabilities, or another user or group to change
 * to.
 */
export function canDropRights(rights: string): boolean {
  const hasNoCapabilities = /^CapPrm:\s+0+$/m.test(rights)
  const hasOneUserAndGroup = ['Uid', 'Gid'].every((name) =>
    new RegExp(`^${name}:\\s+(\\d+)(?:\\s+\\1){3}$`, 'm').test(rights)
  )
  return !(hasNoCapabilities && hasOneUserAndGroup)
}

/**
 * The lines of `/proc/<pid>/status` about rights (proc_pid_status(5)). If threads differ, they are those of
 * the main thread. The open file never becomes that of another process, and can be read when no descriptor is
 * left.
 */
class OpenStatus implements ProcessRights {
  #descriptor: number | undefined

  constructor(descriptor: number) {
    this.#descriptor = descriptor
  }

  read(): string | undefined {
    if (this.#descriptor === undefined) return undefined
    try {
      const length = readSync(this.#descriptor, buffer, 0, buffer.length, 0)
      return buffer.toString('latin1', 0, length).match(lines)?.join('\n')
    } catch {
      return undefined
    }
  }

  close(): void {
    if (this.#descriptor !== undefined) closeSync(this.#descriptor)
    this.#descriptor = undefined
  }
}
