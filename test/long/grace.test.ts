/** A machine with so many processes that each look at them takes long: the keeper works then, and is not paused. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import type { Scanner } from '../../lib/containment/census.js'
import type * as Members from '../../lib/containment/scope-record.js'
import type * as Terminate from '../../lib/containment/terminate.js'
import { compiled } from '../harness/compiled.js'

const { ScopeRecord }: typeof Members = await compiled('containment/scope-record')
const { terminate }: typeof Terminate = await compiled('containment/terminate')

const lookMs = 150
// Both together are 5.5 s, and each look takes its part of them.
const most = 5_500 / lookMs

test('slow looks at the processes extend neither the grace nor the wait after SIGKILL', async () => {
  let looks = 0
  const search: Scanner = {
    members: () => [],
    isEmpty() {
      looks++
      work(lookMs)
      return false
    },
    confirmIdentity: () => false,
    waitForChange: (_scope, ms) => pause(Math.min(ms, 50))
  }
  const scope = new ScopeRecord(1, 'mark', { graceMs: 500, killSignal: 'SIGTERM' }, undefined)
  await terminate(search, scope, undefined)
  assert.ok(looks > 0.5 * most && looks <= most, `${looks} looks`)
})

/** Uses the processor for so many ms. */
function work(ms: number): void {
  const before = process.cpuUsage()
  for (;;) {
    const { user, system } = process.cpuUsage(before)
    if ((user + system) / 1_000 >= ms) return
  }
}
