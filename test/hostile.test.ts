/** What a command that runs as the user of its worker can do to the keeper: see docs/security.md. */

import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { createGuard } from 'fastify-subprocess-guard'
import { lives } from './harness/proc.js'
import { shareKeeper } from './harness/shared-keeper.js'

const program = fileURLToPath(new URL('harness/hostile-main.js', import.meta.url))
shareKeeper()

suite('a hostile command', () => {
  test('can ask the keeper for its status, but cannot give it orders', async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'hostile-'))
    const guard = await createGuard()
    t.after(async () => {
      await guard.close()
      rmSync(folder, { recursive: true })
    })
    const target = join(folder, 'made-by-an-order')
    const scope = guard.open()
    const bystander = guard.open()
    const sleeper = bystander.spawn('sleep', ['1000'])
    const { stdout } = await scope.execFile(process.execPath, [program, target])
    const { status, ...rest } = JSON.parse(stdout)
    assert.deepEqual(Object.keys(status), ['worker', 'keeper', 'containment', 'scopes'])
    assert.deepEqual(rest, {
      orders: '',
      afterStatus: 'string',
      guessed: '',
      opened: []
    })
    // If the keeper had accepted an order, it would have carried it out before this later command.
    await scope.execFile('true')
    assert.ok(!existsSync(target))
    assert.ok(lives(sleeper.pid))
  })
})
