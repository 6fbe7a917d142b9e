/** A process that runs batches of the matrix, so that what crashes a server does not crash the test. */

import { createGuard, type Guard } from 'fastify-subprocess-guard'
import { runBatch, type Violation } from './batch.js'
import type { Batch } from './cells.js'
import { endings } from './endings.js'
import { collectStrayErrors } from './stray-errors.js'

/** The result of a batch. */
export interface Result {
  readonly violations: readonly Violation[]
  /** Why the batch did not run to its end. */
  readonly failure?: string
}

const silent = { info() {}, warn() {}, error() {} }
/** All batches share its keeper, except those that lose theirs. */
let shared: Guard | undefined

collectStrayErrors()
process.on('message', async (batch: Batch) => {
  const losesKeeper = endings.some(({ name, losesKeeper }) => name === batch.ending && losesKeeper)
  if (losesKeeper) {
    await shared?.close()
    shared = undefined
  } else {
    shared ??= await createGuard({ logger: silent })
  }
  const result: Result = await runBatch(batch).then(
    (violations) => ({ violations }),
    (error: Error) => ({ violations: [], failure: error.message })
  )
  process.send?.(result)
})
process.once('disconnect', async () => {
  await shared?.close()
  // What a stray error has left open would keep the process running forever.
  process.exit()
})
