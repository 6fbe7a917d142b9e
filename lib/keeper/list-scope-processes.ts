/** Lists the living processes of a scope: scans until two scans in a row agree. */

import { setTimeout as pause, setImmediate as turn } from 'node:timers/promises'
import type { Census, Member } from '../containment/census.js'
import type { OrphanAdopter } from '../containment/find-orphan-adopter.js'
import type { ScopeRecord } from '../containment/scope-record.js'
import { isOutOfDescriptors } from '../platform/current.js'
import type { ListedMessage } from '../wire/messages.js'
import { describeMembers, livingMembers } from './describe-scope.js'

// Where processes come and go all the time, no two scans agree.
const maxScans = 5
// How long to retry when the keeper has no descriptor for a scan.
const retryWithinMs = 5_000
const retryPauseMs = 100

/** Resolves with the answer to the order `id`: the processes, or why they could not be read. */
export async function listProcesses(
  id: number,
  scope: ScopeRecord | undefined,
  census: Census,
  adopter: OrphanAdopter
): Promise<ListedMessage> {
  const until = performance.now() + retryWithinMs
  for (;;) {
    try {
      const processes =
        scope === undefined ? [] : describeMembers(scope, await stableMembers(scope, census, adopter))
      return { type: 'listed', id, processes }
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException
      if (!isOutOfDescriptors(error) || performance.now() >= until) {
        return { type: 'listed', id, why: { code, message } }
      }
    }
    await pause(retryPauseMs)
  }
}

/** A scan misses a process that is orphaned during it. So two in a row, a turn apart, must find the same. */
async function stableMembers(scope: ScopeRecord, census: Census, adopter: OrphanAdopter): Promise<Member[]> {
  let before: string | undefined
  for (let scans = 1; ; scans++) {
    await census.prepareScan?.()
    const living = livingMembers(scope, census)
    await adopter.settled()
    const found = living.map(({ stat }) => stat.pid).join()
    if (found === before || scans === maxScans) return living
    before = found
    await turn()
  }
}
