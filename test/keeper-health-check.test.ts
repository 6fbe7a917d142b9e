/** When a keeper that says nothing is given up (FAULTS 71). */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { suite, type TestContext, test } from 'node:test'
import type * as LinuxModule from '../lib/platform/linux/proc.js'
import { compiled } from './harness/compiled.js'
import { eventually } from './harness/expectations.js'
import { KeeperHealthCheck, passSilence } from './harness/keeper-silence.js'
import { end } from './harness/proc.js'

// Not public: the compiled file itself.
const { processorWaitOf }: typeof LinuxModule = await compiled('platform/linux/proc')

suite('a keeper that says nothing', () => {
  /** Whether it is given up after so much silence, during that share of which it waits for a processor. */
  function isGivenUp(silentMs: number, waitingShare: number | undefined): boolean {
    let isGivenUp = false
    let isWaiting = true
    const healthCheck = new KeeperHealthCheck({
      isWaiting: () => isWaiting,
      isStarting: () => false,
      processorWaitMs: () => (waitingShare === undefined ? undefined : waitingShare * performance.now()),
      ping: () => {},
      onStuck: () => {
        isGivenUp = true
      }
    })
    healthCheck.start()
    passSilence(silentMs)
    isWaiting = false
    passSilence(2_000)
    return isGivenUp
  }

  test('is given up after 10 s', () => {
    assert.ok(!isGivenUp(8_000, 0))
    assert.ok(isGivenUp(14_000, 0))
    assert.ok(isGivenUp(14_000, undefined))
  })

  test('is not given up while it waits for a processor, but for a minute at most', () => {
    assert.ok(!isGivenUp(40_000, 0.9))
    assert.ok(isGivenUp(40_000, 0.5))
    assert.ok(isGivenUp(64_000, 1))
  })
})

test('the time that a process waits for a processor is told', async (t) => {
  // One more than there are processors.
  const spinning = Array.from({ length: availableParallelism() + 1 }, () => spin(t))
  const waitedMs = (): number => spinning.reduce((sum, pid) => sum + (processorWaitOf(pid) as number), 0)
  const before = waitedMs()
  await eventually('they have waited for 100 ms', () => waitedMs() > before + 100)
  assert.equal(processorWaitOf(0), undefined)
})

function spin(t: TestContext): number {
  const { pid } = spawn(process.execPath, ['-e', 'for (;;);'])
  t.after(() => end(pid as number))
  return pid as number
}
