/**
 * The keeper's file while a worker runs: all guards of the worker use the same one, and its version is
 * checked before each start of a keeper (docs/faults.md, 74).
 */

import assert from 'node:assert/strict'
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, suite, test } from 'node:test'
import { createGuard, type Guard } from 'fastify-subprocess-guard'
import { keeperFile } from './harness/compiled.js'
import { eventually } from './harness/expectations.js'

const folder = mkdtempSync(join(tmpdir(), 'keeper-file-test-'))
after(() => rmSync(folder, { recursive: true }))

interface Line {
  readonly message: string
  readonly err?: Error
}

/** Starts a guard, and records what it logs. */
async function start(keeperPath: string): Promise<{ guard: Guard; lines: Line[] }> {
  const lines: Line[] = []
  const log = (fields: object, message: string): void => void lines.push({ ...fields, message })
  const guard = await createGuard({ keeperPath, logger: { info: log, warn: log, error: log } })
  return { guard, lines }
}

suite('the keeper’s file', () => {
  test('must be the same for all guards of a worker', async (t) => {
    const guard = await createGuard()
    t.after(() => guard.close())
    const same = await createGuard({ keeperPath: keeperFile })
    await same.close()
    const other = join(folder, 'other.mjs')
    copyFileSync(keeperFile, other)
    await assert.rejects(createGuard({ keeperPath: other }), {
      code: 'ERR_SUBPROCESS_OPTION',
      message: `keeperPath is ${JSON.stringify(other)}: another guard of this worker has started ${keeperFile}: give the same path to each`
    })
  })

  test('is not started after a keeper loss while it has another version, and is started once it has the right one', async (t) => {
    const path = join(folder, 'updated.mjs')
    copyFileSync(keeperFile, path)
    const { guard, lines } = await start(path)
    t.after(() => guard.close())
    writeFileSync(path, readFileSync(keeperFile, 'utf8').replace(/ keeper \d\S+/, ' keeper 99.0.0'))
    process.kill(guard.keeper, 'SIGKILL')
    const isRefused = ({ message, err }: Line): boolean =>
      message === 'no other keeper could be started' &&
      /updated\.mjs is the keeper of version 99\.0\.0/.test(err?.message ?? '')
    await eventually('the update was refused', () => lines.some(isRefused))
    assert.equal(guard.keeper, 0)

    copyFileSync(keeperFile, path)
    await eventually('there is another keeper', () => guard.keeper !== 0)
    const { stdout } = await guard.run({}, (scope) => scope.exec('echo served'))
    assert.equal(stdout, 'served\n')
  })
})
