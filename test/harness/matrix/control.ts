/** Checks that the matrix detects violations of its laws. */

import assert from 'node:assert/strict'
import { type BadHandler, badHandlers } from './bad-handlers.js'
import { type Batch, nameOf, nobody } from './cells.js'
import { runBatches } from './run.js'

/** Asserts that each handler that breaks a law is detected; either the slow ones or the others. */
export async function assertFoundOut(isSlow: boolean): Promise<void> {
  const chosen = badHandlers.filter((badHandler) => badHandler.isSlow === isSlow)
  // Some violations can only be assigned to a batch, so each handler has its own.
  const batches = chosen.map(batchOf)
  const violations = await runBatches(batches, isSlow ? batches.length : 1)
  for (const badHandler of chosen) {
    const { name, foundBy } = badHandler
    const cell = nameOf(batchOf(badHandler), name)
    // Not every violation can be assigned to a cell.
    const isFound = violations.some(
      (one) => foundBy.test(one.what) && (one.cell === cell || one.cell.endsWith(nobody))
    )
    assert.ok(isFound, `${name} is not detected: ${JSON.stringify(violations)}`)
  }
}

function batchOf({ name }: BadHandler): Batch {
  return { kind: 'Fastify', hook: 'no hooks', ending: 'deadline before the headers', handlers: [name] }
}
