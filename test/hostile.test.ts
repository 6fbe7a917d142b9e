/** What a command can do to its keeper that has the rights of its worker: `docs/security.md` tells. */

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
  test('can ask the keeper for its status, and give it no order', async (t) => {
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
    // What the keeper had taken for an order would be done by the time of a later command.
    await scope.execFile('true')
    assert.ok(!existsSync(target))
    assert.ok(lives(sleeper.pid))
  })
})
