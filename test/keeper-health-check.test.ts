/** When the worker gives up a keeper that sends nothing (docs/faults.md, 71). */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { suite, type TestContext, test } from 'node:test'
import type * as WaitsModule from '../lib/platform/linux/process-waits.js'
import { compiled } from './harness/compiled.js'
import { eventually } from './harness/expectations.js'
import { KeeperHealthCheck, passSilence } from './harness/keeper-silence.js'
import { end } from './harness/proc.js'

// Not exported by the package: import the compiled file.
const { processorWaitOf }: typeof WaitsModule = await compiled('platform/linux/process-waits')

suite('a silent keeper', () => {
  /**
   * Whether the worker gives up the keeper after `silentMs` of silence. The keeper waits for a processor
   * during `waitingShare` of that time; undefined where the system does not report it.
   */
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

  test('is not given up while it waits for a processor, for a minute at most', () => {
    assert.ok(!isGivenUp(40_000, 0.9))
    assert.ok(isGivenUp(40_000, 0.5))
    assert.ok(isGivenUp(64_000, 1))
  })
})

test('the time that a process has waited for a processor is read from /proc', async (t) => {
  // One process more than there are processors, so that some process always waits.
  const spinning = Array.from({ length: availableParallelism() + 1 }, () => spin(t))
  const waitedMs = (): number => spinning.reduce((sum, pid) => sum + (processorWaitOf(pid) as number), 0)
  const before = waitedMs()
  await eventually('the processes have waited for 100 ms', () => waitedMs() > before + 100)
  assert.equal(processorWaitOf(0), undefined)
})

function spin(t: TestContext): number {
  const { pid } = spawn(process.execPath, ['-e', 'for (;;);'])
  t.after(() => end(pid as number))
  return pid as number
}
