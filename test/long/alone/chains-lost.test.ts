/** Ten thousand processes end when their keeper is lost or their worker is killed (docs/faults.md, 65). */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inOrder, runSessions, startMs } from '../../harness/chains.js'
import { assertGone, eventually } from '../../harness/expectations.js'
import { Guarded } from '../../harness/guarded.js'
import { Worker } from '../../harness/worker.js'

const count = 10_000

test('a chain of ten thousand processes is ended when the keeper is lost, and the worker still serves', async (t) => {
  const guarded = await Guarded.start()
  t.after(() => guarded.close())
  const { keeper } = guarded.guard
  const scope = guarded.guard.open({ timeout: false })
  const pids = await runSessions(guarded, scope, count, 'chain')
  process.kill(keeper, 'SIGKILL')
  const { reason, processes, survivors } = await scope.closed
  assert.equal(reason, 'keeper-lost')
  assert.deepEqual(survivors, [])
  assert.deepEqual(inOrder(processes), pids)
  await assertGone(guarded)
  await eventually('there is another keeper', () => ![0, keeper].includes(guarded.guard.keeper))
  assert.equal((await guarded.guard.open().execFile('echo', ['again'])).stdout, 'again\n')
})

test('a chain of ten thousand processes is ended when its worker is killed, launch: direct', async (t) => {
  const worker = await Worker.start({ launch: 'direct', options: { timeout: 2 * startMs } })
  t.after(() => worker.close())
  worker.run('sessions.sh', 1, [`${count}`, 'chain'])
  await worker.witness.present(count, startMs)
  worker.kill('SIGKILL')
  await assertGone(worker)
  await worker.keeperDead()
})
