/** The tests of requests, process trees, launches and shutdowns at the level `tree` (docs/faults.md). */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { suite, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { passesAtTreeLevel } from '../harness/tree-level.js'
import { hideProc, whyNoHiding } from '../harness/without-proc.js'

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

test('the demo runs where there is no /proc', { skip: whyNoHiding() }, (t) => {
  const { within, remove } = hideProc()
  t.after(remove)
  const demo = fileURLToPath(new URL('../../examples/demo/main.js', import.meta.url))
  const [file = '', ...args] = [...within, process.execPath, demo]
  const env = { ...process.env, SUBPROCESS_GUARD_SYSTEM: 'posix' }
  const { status, stdout, stderr } = spawnSync(file, args, { env, encoding: 'utf8' })
  assert.equal(status, 0, stdout + stderr)
  assert.match(stdout, /^VERDICT {2}without guard: \d+ processes .* left behind; with guard: none\.$/m)
})
