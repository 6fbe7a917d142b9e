/**
 * One keeper for all tests of a file: the guards of one process share it, and it ends with the last of them. So a guard that
 * stays open saves each test the start of a keeper, and the file ends as a long-lived server does. Not for files whose
 * tests look at the start, the loss or the end of a keeper.
 */

import { after, before } from 'node:test'
import { createGuard, type Guard } from 'fastify-subprocess-guard'

/** Call it at the top of a test file, with `createGuard` of another copy of the package where the file has one. */
export function shareKeeper(create: typeof createGuard = createGuard): void {
  let guard: Guard | undefined
  before(async () => {
    guard = await create()
  })
  after(() => guard?.close())
}
