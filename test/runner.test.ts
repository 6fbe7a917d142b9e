/** The test runner: what it prints, and that it leaves nothing, even when it is interrupted. */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { suite, type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { assertGone } from './harness/expectations.js'
import { Witness } from './harness/witness.js'

const entry = fileURLToPath(new URL('./runner/main.js', import.meta.url))
const suites = fileURLToPath(new URL('../../test/programs/suites/', import.meta.url))

interface Run {
  readonly witness: Witness
  readonly child: ReturnType<typeof spawn>
  /** The TMPDIR of the runner. */
  readonly folder: string
  /** Resolves to the exit status of the runner and all that it printed. */
  readonly ended: Promise<{ status: number | null; printed: string }>
}

/** Runs the files of `test/programs/suites` with these names. */
function start(t: TestContext, ...names: string[]): Run {
  const folder = mkdtempSync(join(tmpdir(), 'r-'))
  const witness = new Witness()
  const child = spawn(process.execPath, [entry, '--root', suites, '--gone-within', '100', ...names], {
    env: { ...witness.env, TMPDIR: folder },
    stdio: ['ignore', 'pipe', 'pipe']
  })
  t.after(() => {
    child.kill('SIGKILL')
    witness.close()
    rmSync(folder, { recursive: true, force: true })
  })
  const printed = Promise.all([text(child.stdout), text(child.stderr)]).then((both) => both.join(''))
  const ended = once(child, 'exit').then(async ([status]) => ({ status, printed: await printed }))
  return { witness, child, folder, ended }
}

suite('a run of test files', () => {
  test('that all pass prints a line for each and a summary, and exits with 0', async (t) => {
    const { folder, ended } = start(t, 'passes')
    const { status, printed } = await ended
    assert.match(printed, /^ok +\d+\.\d s +1 passed {2}passes$/m)
    assert.match(printed, /^skipped in passes: is skipped \(a reason\)$/m)
    assert.match(printed, /^skipped in passes: a suite \(another reason\)$/m)
    assert.match(printed, /^1 passed, 0 failed, 2 skipped$/m)
    assert.equal(status, 0)
    assert.deepEqual(readdirSync(folder), [])
  })

  test('shows for a failure the assertion, the processes that were alive, and how to run the file alone', async (t) => {
    const { folder, ended } = start(t, 'fails', 'passes')
    const { status, printed } = await ended
    assert.match(printed, /^FAIL .* fails$/m)
    assert.match(printed, /FAILED a suite > fails while a command runs\n +AssertionError.*the assertion/)
    assert.match(printed, /alive then: \d+ sleep 1001$/m)
    assert.match(printed, /it printed:\n +printed by the file$/m)
    assert.match(printed, /run it alone: npm test -- fails$/m)
    assert.match(printed, /^1 passed, 1 failed, 2 skipped$/m)
    assert.equal(status, 1)
    assert.deepEqual(readdirSync(folder), [])
  })

  test('fails when a file leaves a process, which is named and ended', async (t) => {
    const { witness, ended } = start(t, 'leaves-a-daemon')
    const { status, printed } = await ended
    const [daemon] = witness.announced
    assert.match(printed, new RegExp(`it has left processes\\n.*\\b${daemon?.pid} `))
    assert.equal(status, 1)
    await assertGone({ witness })
  })

  test('fails when a test file leaves a file', async (t) => {
    const { status, printed } = await start(t, 'leaves-a-file').ended
    assert.match(printed, /it has left files: left$/m)
    assert.equal(status, 1)
  })

  test('fails when a file ends before its tests do', async (t) => {
    const { status, printed } = await start(t, 'ends-early').ended
    assert.match(printed, /it ended with 3; last to begin: ends the process$/m)
    assert.equal(status, 1)
  })

  test('refuses a name that matches no file', async (t) => {
    const { status, printed } = await start(t, 'no-such-file').ended
    assert.match(printed, /no test file .* no-such-file/)
    assert.equal(status, 2)
  })

  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    test(`leaves nothing when it is interrupted by ${signal}`, async (t) => {
      const { witness, child, folder, ended } = start(t, 'hangs')
      await witness.present(1)
      child.kill(signal)
      assert.equal((await ended).status, 130)
      await assertGone({ witness })
      assert.deepEqual(readdirSync(folder), [])
    })
  }
})
