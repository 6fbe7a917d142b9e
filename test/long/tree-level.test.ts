/** The tests of requests, process trees, launches and shutdowns at the level `tree` (docs/faults.md). */

import { suite, test } from 'node:test'
import { passesAtTreeLevel } from '../harness/tree-level.js'

suite('at the level tree, the tests pass', () => {
  for (const [file, faults, atLeast] of [
    ['request', '1 to 11', 40],
    ['tree', '12 to 14 and 16 to 21', 30],
    ['launch', '24 to 27', 20],
    ['shutdown', '39', 15]
  ] as const) {
    test(`of test/${file}.test.ts (faults ${faults})`, (t) => passesAtTreeLevel(t, file, { atLeast }))
  }
})
