/** `/proc/<pid>/oom_score_adj`: which process the kernel kills first when memory is full. */

import { openSync, readSync, writeFileSync, writeSync } from 'node:fs'
import { isOutOfDescriptors } from '../../out-of-descriptors.js'
import type { OomScores } from '../../platform.js'
import { readProc, withDescriptor } from '../read-proc.js'

const buffer = Buffer.alloc(16)

// Stays open: opening the file takes longer than all the rest.
let ownFile: number | undefined
/** Why the own value can never be set. Without it, each start would try again. */
let whyNever: string | undefined

/** A process without rights may undo what was raised (proc_pid_oom_score_adj(5)). */
export const oomScores: OomScores = {
  prepare() {
    try {
      openOwn()
    } catch {
      // The first start tries again, and tells why it fails.
    }
  },

  whileRaised(score, act, onFailure) {
    const previous = raiseOwn(score, onFailure)
    try {
      return act()
    } finally {
      if (previous !== undefined) restoreOwn(previous)
    }
  },

  raise(pid, score) {
    const path = `/proc/${pid}/oom_score_adj`
    try {
      const present = readProc(path)
      if (present === undefined || Number(present) >= score) return undefined
      withDescriptor(() => writeFileSync(path, `${score}`))
      return undefined
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      // The process has ended.
      return code === 'ESRCH' || code === 'ENOENT' ? undefined : code
    }
  }
}

/** Returns the value before, if it was lower. */
function raiseOwn(score: number, onFailure: (code: string) => void): number | undefined {
  try {
    if (whyNever !== undefined) throw Object.assign(new Error(), { code: whyNever })
    const file = openOwn()
    // Read each time: an administrator may have changed it.
    const own = Number(buffer.toString('latin1', 0, readSync(file, buffer, 0, buffer.length, 0)))
    if (own >= score) return undefined
    writeSync(file, `${score}`, 0)
    return own
  } catch (error) {
    const { code = 'UNKNOWN' } = error as NodeJS.ErrnoException
    if (!isOutOfDescriptors(error)) whyNever = code
    onFailure(code)
    return undefined
  }
}

function openOwn(): number {
  ownFile ??= withDescriptor(() => openSync('/proc/self/oom_score_adj', 'r+'))
  return ownFile
}

function restoreOwn(score: number): void {
  try {
    writeSync(ownFile as number, `${score}`, 0)
  } catch {
    // Never seen. The keeper would share the fate of its commands, and work on.
  }
}
