/** Ten thousand processes of one scope, and a keeper that cannot scan its processes (docs/faults.md, 65). */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  assertListedAndEnded,
  forEachWay,
  inOrder,
  startWaiting,
  takeDescriptors
} from '../../harness/chains.js'
import { bestLevel } from '../../harness/level.js'
import { lives } from '../../harness/proc.js'

const count = 10_000

forEachWay((start, way) => {
  test('a keeper without descriptors fails to list, names what it cannot end as survivors, and still serves', async (t) => {
    const guarded = await start(t)
    const { keeper } = guarded.guard
    const [listed, closed] = [await startWaiting(guarded), await startWaiting(guarded)]
    const [, { pid }] = guarded.witness.announced as [unknown, { pid: number }]
    const restore = takeDescriptors(t, keeper)
    const [, { survivors }] = await Promise.all([
      assert.rejects(listed.list(), { code: 'EMFILE', message: /could not list/ }),
      closed.close()
    ])
    // Of a command that the keeper has started, the leader is certain.
    const isEnded = way.endsWith('launch: keeper')
    assert.deepEqual(inOrder(survivors), isEnded ? [] : [pid])
    assert.equal(lives(pid), !isEnded)
    if (!isEnded) assert.match(survivors[0]?.why ?? '', /could not be inspected: EMFILE/)
    assert.match(String(guarded.lines('could not be inspected')[0]?.fields.why), /EMFILE/)
    restore()
    assert.equal((await listed.list()).length, 1)
    assert.equal((await guarded.guard.open().execFile('echo', ['again'])).stdout, 'again\n')
    assert.equal(guarded.guard.keeper, keeper)
  })

  // With the other ways to find processes, a scan is the same for both shapes.
  const shapes =
    way === `containment "${bestLevel}", launch: keeper` ? (['chain', 'wide'] as const) : (['chain'] as const)
  for (const shape of shapes) {
    test(`ten thousand processes, ${shape}, are listed and ended, and the keeper still serves`, async (t) => {
      const guarded = await start(t)
      await assertListedAndEnded(guarded, count, shape)
    })
  }
})
