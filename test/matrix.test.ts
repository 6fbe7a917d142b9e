/**
 * The response rules: a request whose scope ends early gets the error of that end, or its connection is cut;
 * how its commands end never becomes the answer (docs/faults.md, 51, 52, 54 to 56, 60). Each run checks
 * another random sample of the matrix of servers, hooks, handlers and endings. `MATRIX_SEED` repeats a
 * sample; `MATRIX_CELL` runs the cells whose names contain it.
 */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { allBatches, cellsOf, onlyCells } from './harness/matrix/cells.js'
import { assertFoundOut } from './harness/matrix/control.js'
import { runBatches } from './harness/matrix/run.js'
import { newSeed, sampleOf } from './harness/matrix/sample.js'

const { MATRIX_SEED: givenSeed, MATRIX_CELL: wanted } = process.env

test('the response rules hold in a sample of the matrix', async (t) => {
  const all = allBatches()
  const seed = givenSeed === undefined ? newSeed() : Number(givenSeed)
  const batches = wanted === undefined ? sampleOf(all, seed) : onlyCells(all, (name) => name.includes(wanted))
  assert.ok(batches.length > 0, `no name of a cell contains ${wanted}`)
  const what = wanted === undefined ? `MATRIX_SEED=${seed}` : `MATRIX_CELL="${wanted}"`
  t.diagnostic(`${what}: ${cellsOf(batches).length} of ${cellsOf(all).length} cells`)
  const violations = await runBatches(batches, 1)
  const lines = violations.map(({ cell, what }) => `${cell}: ${what}`)
  assert.equal(lines.length, 0, `${what}\n${lines.join('\n')}`)
})

test(
  'a handler that breaks the rules is detected',
  { skip: wanted !== undefined && 'MATRIX_CELL selects some cells only' },
  () => assertFoundOut(false)
)
