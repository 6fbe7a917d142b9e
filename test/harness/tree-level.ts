/** Runs a test file at the level `tree`, with `/proc` out of sight. */

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { runFile } from '../runner/run-file.js'

/** Options of Node for a process that has servers at that level and needs `/proc` itself. */
export const outOfSight = [`--import=${new URL('./out-of-sight.js', import.meta.url).href}`]

let runs = 0

/**
 * Asserts that the tests of `test/<file>.test.ts` pass, and that they are at least so many. `only`: those with such
 * titles.
 */
export async function passesAtTreeLevel(
  t: TestContext,
  file: string,
  { atLeast, only }: { atLeast: number; only?: string }
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 't'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const { failures, passed } = await runFile(`${file}.test.js`, {
    root: fileURLToPath(new URL('..', import.meta.url)),
    folder,
    realm: `${process.env.SUBPROCESS_GUARD_REALM ?? ''}t${++runs}-`,
    goneWithinMs: 20_000,
    // Where Node's own runner runs this file, it expects the results of the other one, too.
    env: { SUBPROCESS_GUARD_SYSTEM: 'posix', NODE_TEST_CONTEXT: undefined },
    flags: [...outOfSight, ...(only === undefined ? [] : [`--test-name-pattern=${only}`])]
  })
  assert.deepEqual(failures, [])
  assert.ok(passed >= atLeast, `only ${passed} tests have passed`)
}
