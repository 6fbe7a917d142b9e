/** The same limits as in `test/limits.test.ts`, of a scope that is a cgroup. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { whyNoCgroups } from './harness/cgroups.js'
import { testExceedingRequests } from './harness/exceeding-requests.js'
import { Guarded } from './harness/guarded.js'
import { isTreeLevel } from './harness/level.js'
import { shareKeeper } from './harness/shared-keeper.js'

const skip = isTreeLevel ? 'the containment level is "tree"' : whyNoCgroups()
// Inherited by the keeper that this file starts.
process.env.SUBPROCESS_GUARD_CONTAINMENT = 'cgroup'
shareKeeper()

test('the containment level is cgroup', { skip }, async (t) => {
  const guarded = await Guarded.start()
  t.after(() => guarded.close())
  assert.equal(guarded.guard.containment, 'cgroup')
})

testExceedingRequests({ name: 'in a cgroup', guard: { containment: 'cgroup' }, skip })
