/**
 * The level `tree` of macOS and other systems, where processes are found by ps. It runs here too, by the variable that chooses it, with
 * `/proc` out of sight (docs/faults.md, column "tree").
 */

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { runFile } from './runner/run-file.js'

interface Run {
  readonly file: string
  readonly faults: string
  /** Only the tests with such titles. */
  readonly only?: string
  /** How many tests must have passed, or the run proves nothing. */
  readonly atLeast: number
}

const runs: readonly Run[] = [
  { file: 'tree', faults: '12 to 14, 16 to 21', atLeast: 30 },
  { file: 'request', faults: '1 to 11', atLeast: 40 },
  { file: 'launch', faults: '24 to 27', atLeast: 20 },
  { file: 'shutdown', faults: '39', atLeast: 15 }
]

suite('at the level tree, these tests pass', () => {
  for (const [index, { file, faults, only, atLeast }] of runs.entries()) {
    test(`test/${file}.test.ts: faults ${faults}`, async (t) => {
      const folder = mkdtempSync(join(tmpdir(), `${index}`))
      t.after(() => rmSync(folder, { recursive: true, force: true }))
      const { failures, passed } = await runFile(`${file}.test.js`, {
        root: fileURLToPath(new URL('.', import.meta.url)),
        folder,
        realm: `${process.env.SUBPROCESS_GUARD_REALM ?? ''}t${index}-`,
        goneWithinMs: 20_000,
        env: { SUBPROCESS_GUARD_SYSTEM: 'posix' },
        flags: [
          `--import=${new URL('./harness/out-of-sight.js', import.meta.url).href}`,
          ...(only === undefined ? [] : [`--test-name-pattern=${only}`])
        ]
      })
      assert.deepEqual(failures, [])
      assert.ok(passed >= atLeast, `only ${passed} tests have run`)
    })
  }
})
