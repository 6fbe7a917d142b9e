/** Proves that a scope is empty by two scans: one may miss a process that is born during it. */

import { setImmediate as turn } from 'node:timers/promises'
import { isOutOfDescriptors } from '../platform/current.js'
import type { Scanner } from './census.js'
import type { ScopeRecord } from './scope-record.js'

/** Scans in two turns of the event loop. A scan that fails for lack of file descriptors proves nothing. */
export async function isConfirmedEmpty(scanner: Scanner, scope: ScopeRecord): Promise<boolean> {
  try {
    await scanner.prepareScan?.()
    if (!scanner.isEmpty(scope)) return false
    await turn()
    await scanner.prepareScan?.()
    return scanner.isEmpty(scope)
  } catch (error) {
    if (!isOutOfDescriptors(error)) throw error
    return false
  }
}
