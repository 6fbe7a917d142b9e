/** The users and groups of a process, as it tells them itself or as ps lists them. */

import type { ProcessRights } from '../platform.js'
import { statOf } from './listed-processes.js'
import type { ListedProcess } from './parse-ps.js'

// One ps for each batch of orders would double the time of a start. So orders that are read within that time after
// the worker has changed its rights are still carried out, in ms.
const usedForMs = 1_000

/** The rights of the process that has the pid when they are read: it must be alive then. */
export function openRights(pid: number): ProcessRights {
  return pid === process.pid ? { read: ownRights, close() {} } : new ListedRights(pid)
}

/** Whether such rights include another user to change to: those of root, and of a process with two users. */
export function canDropRights(rights: string): boolean {
  const [effective, real] = rights.split(' ')
  return effective === '0' || effective !== real
}

/** The effective user of a process. Undefined if there is no process with that pid, or if it is hidden. */
export function ownerOf(pid: number): number | undefined {
  return statOf(pid)?.user
}

export function usersOf(pid: number): { real: number; effective: number } | undefined {
  const stat = statOf(pid)
  return stat === undefined ? undefined : { real: stat.realUser, effective: stat.user }
}

function ownRights(): string {
  return [process.geteuid?.(), process.getuid?.(), process.getgid?.()].join(' ')
}

class ListedRights implements ProcessRights {
  readonly #pid: number
  #text: string | undefined
  #readAt = Number.NEGATIVE_INFINITY

  constructor(pid: number) {
    this.#pid = pid
  }

  read(): string | undefined {
    if (performance.now() - this.#readAt < usedForMs) return this.#text
    try {
      const stat = statOf(this.#pid)
      this.#text = stat === undefined ? undefined : rightsIn(stat)
    } catch {
      // They may have changed.
      this.#text = undefined
    }
    this.#readAt = performance.now()
    return this.#text
  }

  close(): void {}
}

function rightsIn({ user, realUser, realGroup }: ListedProcess): string {
  return [user, realUser, realGroup].join(' ')
}
