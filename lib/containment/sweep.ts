/** The sweep: ends what dead workers have left, once neither they nor their keepers can do it any more. */

import type { EndedProcess } from '../keeper/protocol.js'
import type { Libc } from '../platform/libc.js'
import { statOf } from '../platform/linux.js'
import { findLeft } from './left.js'
import { removeLeftFolders } from './left-folders.js'
import { type Member, ScopeRecord, type Search } from './members.js'
import { dropStaleNotes } from './release-notes.js'
import { runAlone } from './sweep-lock.js'
import { terminate } from './terminate.js'

// With no event for the death of a stranger, there is nothing but to look again.
const longestPauseMs = 50

/**
 * Ends everything that dead workers of this user have left on this machine (see `findLeft`): SIGTERM and SIGCONT, after
 * `graceMs` SIGKILL, until two looks find nothing. Resolves with how each process ended; those that have withstood
 * SIGKILL for 5 s are named as survivors. The folders of dead workers are removed. Where another sweep of this user runs, it waits for that one to end first, for
 * 30 s at the most.
 */
export async function sweep(libc: Libc | undefined, graceMs: number): Promise<EndedProcess[]> {
  dropStaleNotes()
  try {
    return await endLeft(libc, graceMs)
  } finally {
    await removeLeftFolders()
  }
}

async function endLeft(libc: Libc | undefined, graceMs: number): Promise<EndedProcess[]> {
  const left = new ScopeRecord(0, 'left', { graceMs, killSignal: 'SIGTERM' }, libc)
  const search = new LeftSearch()
  // Nearly every sweep ends here.
  if (await isNothingLeft(search, left)) return []
  return runAlone(() => terminate(search, left, libc))
}

/** Two looks, a turn of the loop apart, since one may miss a process that is born during it. */
async function isNothingLeft(search: Search, left: ScopeRecord): Promise<boolean> {
  if (!search.isEmpty(left)) return false
  await new Promise((resolve) => setImmediate(resolve))
  return search.isEmpty(left)
}

class LeftSearch implements Search {
  members(left: ScopeRecord): Member[] {
    const members = findLeft(left).map(({ stat }) => ({ stat, isOwnChild: false }))
    for (const { stat } of members) left.remember(stat)
    return members
  }

  isEmpty(left: ScopeRecord): boolean {
    try {
      // While one of them lives, the others need not be looked for.
      for (const [pid, startTick] of left.seen) {
        const now = statOf(pid)
        if (now?.startTick === startTick && now.alive) return false
        left.seen.delete(pid)
      }
      return this.members(left).length === 0
    } catch {
      // For want of descriptors: nothing may be concluded from that.
      return false
    }
  }

  isStill(_left: ScopeRecord, { stat }: Member): boolean {
    const now = statOf(stat.pid)
    if (now === undefined || now.startTick !== stat.startTick) return false
    // One of both it has kept, unless it did much in that moment: then the next look finds it again.
    return now.parent === stat.parent || now.session === stat.session
  }

  changeWithin(_left: ScopeRecord, ms: number): Promise<void> {
    return new Promise((resolve) => setTimeout(resolve, Math.min(ms, longestPauseMs)))
  }
}
