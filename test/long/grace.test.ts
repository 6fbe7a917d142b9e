/**
 * A machine with so many processes that each scan takes long. The keeper is then busy, and must not be taken
 * for paused.
 */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import type { Scanner } from '../../lib/containment/census.js'
import type * as ScopeRecordModule from '../../lib/containment/scope-record.js'
import type * as TerminateModule from '../../lib/containment/terminate.js'
import { compiled } from '../harness/compiled.js'

const { ScopeRecord }: typeof ScopeRecordModule = await compiled('containment/scope-record')
const { terminate }: typeof TerminateModule = await compiled('containment/terminate')

const scanMs = 150
// The grace period and the wait after SIGKILL are 5.5 s together, and each scan takes its part of them.
const mostScans = 5_500 / scanMs

test('slow scans of the processes extend neither the grace period nor the wait after SIGKILL', async () => {
  let scans = 0
  const search: Scanner = {
    members: () => [],
    isEmpty() {
      scans++
      compute(scanMs)
      return false
    },
    confirmIdentity: () => false,
    waitForChange: (_scope, ms) => pause(Math.min(ms, 50))
  }
  const scope = new ScopeRecord(1, 'mark', { graceMs: 500, killSignal: 'SIGTERM' }, undefined)
  await terminate(search, scope, undefined)
  assert.ok(scans > 0.5 * mostScans && scans <= mostScans, `${scans} scans`)
})

/** Uses the processor for `ms` milliseconds of processor time. */
function compute(ms: number): void {
  const before = process.cpuUsage()
  for (;;) {
    const { user, system } = process.cpuUsage(before)
    if ((user + system) / 1_000 >= ms) return
  }
}
