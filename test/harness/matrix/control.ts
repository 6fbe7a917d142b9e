/** Shows that the matrix finds out what breaks its laws. */

import assert from 'node:assert/strict'
import { type Batch, nameOf, nobody } from './cells.js'
import { type Culprit, culprits } from './culprits.js'
import { runBatches } from './run.js'

/** Asserts that each of the handlers that break a law is found out; the slow ones, or the others. */
export async function assertFoundOut(isSlow: boolean): Promise<void> {
  const chosen = culprits.filter((culprit) => culprit.isSlow === isSlow)
  // What belongs to no cell is told of a batch: each has one of its own.
  const batches = chosen.map(batchOf)
  const violations = await runBatches(batches, isSlow ? batches.length : 1)
  for (const culprit of chosen) {
    const { name, foundBy } = culprit
    const cell = nameOf(batchOf(culprit), name)
    // Not everything can be told of one cell.
    const isFound = violations.some(
      (one) => foundBy.test(one.what) && (one.cell === cell || one.cell.endsWith(nobody))
    )
    assert.ok(isFound, `${name} is not found out: ${JSON.stringify(violations)}`)
  }
}

function batchOf({ name }: Culprit): Batch {
  return { kind: 'Fastify', hook: 'no hooks', ending: 'deadline before the headers', handlers: [name] }
}
