/** The option `containment`: the weakest level that is accepted. */

import assert from 'node:assert/strict'
import { symlinkSync, unlinkSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { eventually } from './harness/expectations.js'
import { type Installed, installWithoutKoffi } from './harness/without-koffi.js'

// The tests are about a machine that allows less.
delete process.env.SUBPROCESS_GUARD_CONTAINMENT

const silent = { info() {}, warn() {}, error() {} }
const koffi = fileURLToPath(new URL('../../node_modules/koffi', import.meta.url))

suite('with the option containment', () => {
  let withoutKoffi: Installed
  before(async () => {
    withoutKoffi = await installWithoutKoffi()
  })
  after(() => withoutKoffi.remove())

  for (const least of ['tree', 'marks'] as const) {
    test(`"${least}", a machine that allows "marks" is accepted`, async () => {
      const guard = await withoutKoffi.createGuard({ containment: least, logger: silent })
      assert.equal(guard.containment, 'marks')
      await guard.close()
    })
  }

  for (const least of ['subreaper', 'job', 'cgroup'] as const) {
    test(`"${least}", a machine that allows only "marks" is refused, and no keeper is left`, async () => {
      await assert.rejects(withoutKoffi.createGuard({ containment: least, logger: silent }), {
        code: 'ERR_SUBPROCESS_CONTAINMENT',
        statusCode: 500,
        message: new RegExp(
          `containment is "${least}", and this machine allows "marks": koffi could not be loaded`
        )
      })
      // The runner of the tests fails this file if a process is left.
    })
  }

  test('a guard that needs more is refused beside one that does not, which goes on', async () => {
    const guard = await withoutKoffi.createGuard({ logger: silent })
    await assert.rejects(withoutKoffi.createGuard({ containment: 'subreaper', logger: silent }), {
      code: 'ERR_SUBPROCESS_CONTAINMENT'
    })
    const output = await guard.run({}, async (scope) => (await scope.execFile('echo', ['here'])).stdout)
    assert.equal(output, 'here\n')
    await guard.close()
  })

  test('a keeper that replaces a lost one serves at a weaker level, and that is an error in the log', async () => {
    const link = join(dirname(dirname(dirname(withoutKoffi.cli))), 'node_modules/koffi')
    symlinkSync(koffi, link)
    const errors: string[] = []
    const error = (_: object, message: string): void => void errors.push(message)
    const guard = await withoutKoffi.createGuard({
      containment: 'subreaper',
      logger: { ...silent, error }
    })
    unlinkSync(link)
    process.kill(guard.keeper, 'SIGKILL')
    const line = 'the next keeper has containment "marks", below the required "subreaper"'
    await eventually('the log says so', () => errors.includes(line))
    assert.equal(guard.containment, 'marks')
    await guard.close()
  })
})
