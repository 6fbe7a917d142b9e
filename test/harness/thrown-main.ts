/**
 * A test that fails in a listener of a subprocess's event. The test
 * runner must assign the failure to this test.
 */

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { SpawnMethods } from './launchers.js'

const [event, launch] = process.argv.slice(2) as [string, 'node' | 'keeper' | 'direct']
const launcher = new SpawnMethods(launch)
before(() => launcher.open())
after(() => launcher.close())

test('fails', (_, done) => {
  launcher.spawn('true').on(event, () => {
    assert.fail(`in a listener of ${event}`)
    done()
  })
})
