/**
 * The response rules of `test/matrix.test.ts`, checked in every cell of the matrix (docs/faults.md, 51, 52,
 * 54 to 56, 60).
 */

import assert from 'node:assert/strict'
import { availableParallelism } from 'node:os'
import { test } from 'node:test'
import { allBatches, cellsOf } from '../harness/matrix/cells.js'
import { assertFoundOut } from '../harness/matrix/control.js'
import { runBatches } from '../harness/matrix/run.js'

const { MATRIX_CELL: wanted, MATRIX_SEED: seed } = process.env
const isNarrowed = wanted !== undefined || seed !== undefined
const skip = isNarrowed && 'MATRIX_CELL or MATRIX_SEED selects some cells only'

test('the response rules hold in every cell of the matrix', { skip }, async (t) => {
  const batches = allBatches()
  t.diagnostic(`${cellsOf(batches).length} cells in ${batches.length} batches`)
  const violations = await runBatches(batches, availableParallelism())
  const lines = violations.map(({ cell, what }) => `${cell}: ${what}`)
  assert.equal(lines.length, 0, lines.join('\n'))
})

test('a handler that leaves something is detected', { skip }, () => assertFoundOut(true))
