/** The keeper's file as a running worker finds it: one for all guards, and looked at before each start (FAULTS 74). */

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

/** Starts a guard that keeps what it logs. */
async function start(keeperPath: string): Promise<{ guard: Guard; lines: Line[] }> {
  const lines: Line[] = []
  const keep = (fields: object, message: string): void => void lines.push({ ...fields, message })
  const guard = await createGuard({ keeperPath, logger: { info: keep, warn: keep, error: keep } })
  return { guard, lines }
}

suite('the keeper’s file', () => {
  test('is the same for all guards of a worker', async (t) => {
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

  test('of another version is not started for a keeper that was lost, and the right one is as soon as it is there', async (t) => {
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
