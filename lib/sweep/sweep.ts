/** The sweep: ends the leftovers of dead workers whose keepers are gone, too. */

import type { Member, Scanner } from '../containment/census.js'
import { isConfirmedEmpty } from '../containment/confirm-empty.js'
import type { OrphanAdopter } from '../containment/find-orphan-adopter.js'
import { removeStaleRecords, squattedLine } from '../containment/release-registry.js'
import { ScopeRecord } from '../containment/scope-record.js'
import { terminate } from '../containment/terminate.js'
import { type NativeCalls, platform } from '../platform/current.js'
import type { EndedProcess } from '../wire/messages.js'
import { findLeftoverProcesses } from './find-leftover-processes.js'
import { LeftoverCgroups } from './leftover-cgroups.js'
import { removeLeftoverFolders } from './remove-leftover-folders.js'
import { withSweepLock } from './sweep-lock.js'

// These processes are not children of this one, so that no event reports their exit: poll.
const maxPauseMs = 50

/**
 * Ends every process that dead workers of this user have left on this machine (see `findLeftoverProcesses`):
 * sends SIGTERM and SIGCONT, and after `graceMs` SIGKILL, until two scans find nothing. Then removes the
 * directories of dead workers. Resolves with how each process ended; one that is alive 5 s after SIGKILL is
 * reported as a survivor.
 *
 * Only one sweep of a user runs at a time: waits up to 30 s for another one. Calls `warn` when another user
 * has taken the name of the directory of the lock, and when the processes could not be read.
 */
export async function sweep(
  native: NativeCalls | undefined,
  graceMs: number,
  adopter: OrphanAdopter,
  warn: (message: string) => void = () => {}
): Promise<EndedProcess[]> {
  removeStaleRecords()
  try {
    return await endLeftoverProcesses(native, graceMs, adopter, warn)
  } finally {
    await removeLeftoverFolders()
  }
}

async function endLeftoverProcesses(
  native: NativeCalls | undefined,
  graceMs: number,
  adopter: OrphanAdopter,
  warn: (message: string) => void
): Promise<EndedProcess[]> {
  const leftovers = new ScopeRecord(0, 'left', { graceMs, killSignal: 'SIGTERM' }, native)
  const cgroups = new LeftoverCgroups()
  const search = new LeftoverSearch(adopter, cgroups)
  // Nearly every sweep ends here.
  if (await isConfirmedEmpty(search, leftovers)) {
    cgroups.remove()
    return []
  }
  // The adopter must be known before the first signal, so that all processes are signalled together.
  await adopter.settled()
  const processes = await withSweepLock(
    () => {
      cgroups.thaw()
      return terminate(search, leftovers, native)
    },
    (squatted) => warn(squattedLine(squatted))
  )
  cgroups.remove()
  if (leftovers.scanFailure !== undefined)
    warn(`the leftovers of dead workers could not be read: ${leftovers.scanFailure}`)
  return processes
}

class LeftoverSearch implements Scanner {
  readonly #adopter: OrphanAdopter
  readonly #cgroups: LeftoverCgroups
  #spared: ReadonlySet<number> = new Set()

  constructor(adopter: OrphanAdopter, cgroups: LeftoverCgroups) {
    this.#adopter = adopter
    this.#cgroups = cgroups
  }

  async prepareScan(): Promise<void> {
    await platform.readAhead?.()
  }

  members(leftovers: ScopeRecord): Member[] {
    return this.#scan(leftovers).members
  }

  isEmpty(leftovers: ScopeRecord): boolean {
    // While a known process lives, no scan is needed.
    for (const [pid, startTick] of leftovers.seen) {
      const now = platform.statOf(pid)
      if (now?.startTick === startTick && now.alive) return false
      leftovers.seen.delete(pid)
    }
    const { members, isIncomplete } = this.#scan(leftovers)
    return members.length === 0 && !isIncomplete
  }

  confirmIdentity(_leftovers: ScopeRecord, { stat }: Member): boolean {
    const now = platform.statOf(stat.pid)
    if (now === undefined || now.startTick !== stat.startTick) return false
    // The process keeps at least one of them, or else the next scan finds it again.
    return now.parent === stat.parent || now.session === stat.session
  }

  kill(): ReadonlySet<number> {
    return this.#cgroups.kill(this.#spared)
  }

  waitForChange(_leftovers: ScopeRecord, ms: number): Promise<void> {
    return new Promise((resolve) => setTimeout(resolve, Math.min(ms, maxPauseMs)))
  }

  #scan(leftovers: ScopeRecord): { members: Member[]; isIncomplete: boolean } {
    const { processes, isIncomplete, spared } = findLeftoverProcesses(this.#adopter, leftovers, this.#cgroups)
    this.#spared = spared
    for (const { stat } of processes) leftovers.remember(stat)
    return { members: processes.map(({ stat }) => ({ stat, isOwnChild: false })), isIncomplete }
  }
}
