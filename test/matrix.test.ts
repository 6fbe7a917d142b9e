/**
 * The law of the answer, in a sample of the matrix that is another one each time: what ends a scope never becomes an answer
 * (FAULTS 51, 52, 54 to 56, 60). `MATRIX_SEED` repeats a sample, `MATRIX_CELL` runs the cells with that in their names.
 */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { allBatches, cellsOf, onlyCells } from './harness/matrix/cells.js'
import { assertFoundOut } from './harness/matrix/control.js'
import { runBatches } from './harness/matrix/run.js'
import { newSeed, sampleOf } from './harness/matrix/sample.js'

const { MATRIX_SEED: givenSeed, MATRIX_CELL: wanted } = process.env

test('the law of the answer holds in a sample of the matrix', async (t) => {
  const all = allBatches()
  const seed = givenSeed === undefined ? newSeed() : Number(givenSeed)
  const batches = wanted === undefined ? sampleOf(all, seed) : onlyCells(all, (name) => name.includes(wanted))
  assert.ok(batches.length > 0, `no cell has ${wanted} in its name`)
  const what = wanted === undefined ? `MATRIX_SEED=${seed}` : `MATRIX_CELL="${wanted}"`
  t.diagnostic(`${what}: ${cellsOf(batches).length} of ${cellsOf(all).length} cells`)
  const violations = await runBatches(batches, 1)
  const lines = violations.map(({ cell, what }) => `${cell}: ${what}`)
  assert.equal(lines.length, 0, `${what}\n${lines.join('\n')}`)
})

test(
  'a handler that breaks the law is found out',
  { skip: wanted !== undefined && 'MATRIX_CELL asks for some cells only' },
  () => assertFoundOut(false)
)
