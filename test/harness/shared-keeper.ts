/**
 * One keeper for all tests of a file. The guards of one process share it, and it ends with the last of them.
 * A guard that stays open saves each test the start of a keeper, and the file then behaves as a long-lived
 * server. Not for files that test the start, loss or end of a keeper.
 */

import { after, before } from 'node:test'
import { createGuard, type Guard } from 'fastify-subprocess-guard'

/**
 * Call this at the top of a test file. `create` is the `createGuard` of another copy
 * of the package, for files that have one.
 */
export function shareKeeper(create: typeof createGuard = createGuard): void {
  let guard: Guard | undefined
  before(async () => {
    guard = await create()
  })
  after(() => guard?.close())
}
