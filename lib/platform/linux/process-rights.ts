/** The rights of a process, which it may give up. */

import { closeSync, openSync, readSync } from 'node:fs'

const lines = /^(?:Uid|Gid|Groups|Cap(?:Inh|Prm|Eff|Bnd|Amb)|NoNewPrivs):.*$/gm
const buffer = Buffer.allocUnsafeSlow(64 * 1024)

/**
 * Its users, groups and capabilities, as the kernel words them (proc_pid_status(5)); those of its main thread, where threads differ.
 * The file is held open: it never is that of another process, and can be read when no descriptor is left.
 */
export class Rights {
  #descriptor: number | undefined

  /** Undefined where they are hidden. */
  static of(pid: number): Rights | undefined {
    try {
      return new Rights(openSync(`/proc/${pid}/status`, 'r'))
    } catch {
      return undefined
    }
  }

  private constructor(descriptor: number) {
    this.#descriptor = descriptor
  }

  /** Those of now. Undefined when the process is gone. */
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

/** Whether there are any that could be given up: capabilities, or another user or group to change to. */
export function canLose(rights: string): boolean {
  const hasNone = /^CapPrm:\s+0+$/m.test(rights)
  const isOne = ['Uid', 'Gid'].every((name) =>
    new RegExp(`^${name}:\\s+(\\d+)(?:\\s+\\1){3}$`, 'm').test(rights)
  )
  return !(hasNone && isOne)
}
