/** A blocked event loop does not delay a deadline: the keeper knows it too (fault 33 in docs/faults.md). */

import assert from 'node:assert/strict'
import { suite, type TestContext, test } from 'node:test'
import { ask } from './harness/client.js'
import { assertGone } from './harness/expectations.js'
import { goneMs } from './harness/served.js'
import { deadlineMs, Worker, type WorkerSetup } from './harness/worker.js'

const program = 'tree-ignores-term.sh'
const processCount = 4

async function block(t: TestContext, then: 'answer' | 'wait', setup: WorkerSetup) {
  const worker = await Worker.start(setup)
  t.after(() => worker.close())
  const asked = await worker.block(program, then, processCount)
  return { worker, asked }
}

for (const launch of ['keeper', 'direct'] as const) {
  suite(`a worker whose event loop is blocked past the deadline of a request (${launch})`, () => {
    test('has the subprocesses of the request ended at the deadline', async (t) => {
      const { worker, asked } = await block(t, 'wait', { launch })
      await assertGone(worker)
      worker.goOn()
      const { status, body } = await asked.answer
      assert.equal(status, 503)
      assert.equal(JSON.parse(body).code, 'ERR_SUBPROCESS_DEADLINE')
      assert.deepEqual(await scopeLines(worker), [{ reason: 'deadline', processes: processCount }])
    })

    test('sends the answer that the handler has by then, and logs the deadline', async (t) => {
      const { worker, asked } = await block(t, 'answer', { launch })
      await assertGone(worker)
      worker.goOn()
      const { status, body } = await asked.answer
      assert.equal(status, 200)
      assert.equal(body, 'answer')
      assert.deepEqual(await scopeLines(worker), [{ reason: 'deadline', processes: processCount }])
    })
  })
}

test('a blocked worker without the guard leaves the subprocesses running', async (t) => {
  const { worker } = await block(t, 'wait', { guard: false })
  assert.equal(await worker.witness.goneWithin(deadlineMs + goneMs), false)
  assert.equal(worker.witness.living().length, processCount)
})

/** Closes the worker's server and returns its log lines about closed scopes. */
async function scopeLines(worker: Worker): Promise<object[]> {
  ask(worker.port, '/end/close')
  const lines = (await worker.output()).split('\n').filter((line) => line.includes('"scope closed'))
  return lines.map((line) => {
    const { reason, processes } = JSON.parse(line)
    return { reason, processes: processes.length }
  })
}
