/** The sweep: ends what dead workers have left, once neither they nor their keepers can do it any more. */

import type { Member, Scanner } from '../containment/census.js'
import { isConfirmedEmpty } from '../containment/confirm-empty.js'
import type { OrphanAdopter } from '../containment/orphan-adopter.js'
import { removeStaleRecords } from '../containment/release-registry.js'
import { ScopeRecord } from '../containment/scope-record.js'
import { terminate } from '../containment/terminate.js'
import { type Libc, squattedLine, statOf } from '../platform/current.js'
import type { EndedProcess } from '../wire/messages.js'
import { removeLeftFolders } from './leftover-folders.js'
import { findLeft } from './leftover-processes.js'
import { runAlone } from './sweep-lock.js'

// With no event for the death of a stranger, there is nothing but to look again.
const longestPauseMs = 50

/**
 * Ends everything that dead workers of this user have left on this machine (see `findLeft`): SIGTERM and SIGCONT, after
 * `graceMs` SIGKILL, until two looks find nothing. Resolves with how each process ended; those that have withstood
 * SIGKILL for 5 s are named as survivors. The folders of dead workers are removed. Where another sweep of this user runs, it
 * waits for that one to end first, for 30 s at the most. `say` is told where somebody else is in the way.
 */
export async function sweep(
  libc: Libc | undefined,
  graceMs: number,
  adopter: OrphanAdopter,
  say: (message: string) => void = () => {}
): Promise<EndedProcess[]> {
  removeStaleRecords()
  try {
    return await endLeft(libc, graceMs, adopter, say)
  } finally {
    await removeLeftFolders()
  }
}

async function endLeft(
  libc: Libc | undefined,
  graceMs: number,
  adopter: OrphanAdopter,
  say: (message: string) => void
): Promise<EndedProcess[]> {
  const left = new ScopeRecord(0, 'left', { graceMs, killSignal: 'SIGTERM' }, libc)
  const search = new LeftSearch(adopter)
  // Nearly every sweep ends here.
  if (await isConfirmedEmpty(search, left)) return []
  // Known before the first signal, so that all are asked together.
  await adopter.settled()
  const processes = await runAlone(
    () => terminate(search, left, libc),
    (squatted) => say(squattedLine(squatted))
  )
  if (left.scanFailure !== undefined)
    say(`what dead workers have left could not be looked at: ${left.scanFailure}`)
  return processes
}

class LeftSearch implements Scanner {
  readonly #adopter: OrphanAdopter

  constructor(adopter: OrphanAdopter) {
    this.#adopter = adopter
  }

  members(left: ScopeRecord): Member[] {
    return this.#look(left).members
  }

  isEmpty(left: ScopeRecord): boolean {
    // While one of them lives, the others need not be looked for.
    for (const [pid, startTick] of left.seen) {
      const now = statOf(pid)
      if (now?.startTick === startTick && now.alive) return false
      left.seen.delete(pid)
    }
    const { members, isUnclear } = this.#look(left)
    return members.length === 0 && !isUnclear
  }

  confirmIdentity(_left: ScopeRecord, { stat }: Member): boolean {
    const now = statOf(stat.pid)
    if (now === undefined || now.startTick !== stat.startTick) return false
    // One of both it has kept, unless it did much in that moment: then the next look finds it again.
    return now.parent === stat.parent || now.session === stat.session
  }

  waitForChange(_left: ScopeRecord, ms: number): Promise<void> {
    return new Promise((resolve) => setTimeout(resolve, Math.min(ms, longestPauseMs)))
  }

  #look(left: ScopeRecord): { members: Member[]; isUnclear: boolean } {
    const { processes, isUnclear } = findLeft(this.#adopter, left)
    for (const { stat } of processes) left.remember(stat)
    return { members: processes.map(({ stat }) => ({ stat, isOwnChild: false })), isUnclear }
  }
}
