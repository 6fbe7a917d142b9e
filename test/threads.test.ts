/**
 * Guards in different threads of one process have their own keepers and do not end each other's processes.
 */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { Worker as Thread } from 'node:worker_threads'
import { assertGone } from './harness/expectations.js'
import { commandOf, Guarded } from './harness/guarded.js'
import { Witness } from './harness/witness.js'

const inThread = `
  const { parentPort, workerData } = require('node:worker_threads')
  const { command, env } = workerData
  require('fastify-subprocess-guard').createGuard({ grace: 300 }).then((guard) => {
    guard.open().spawn(...command, { stdio: 'ignore', env }).once('spawn', () => parentPort.postMessage('spawned'))
  })`

test('the guard of a terminated thread ends what the thread was running, and nothing of the main thread', async (t) => {
  const guarded = await Guarded.start()
  const witness = new Witness()
  t.after(() => guarded.close())
  t.after(() => witness.close())
  const scope = guarded.guard.open()
  guarded.run(scope, 'daemon.sh')
  const apart = guarded.runApart('waits.sh')
  t.after(() => apart.kill('SIGKILL'))
  await guarded.witness.present(3)

  const workerData = { command: commandOf('daemon.sh'), env: witness.env }
  const thread = new Thread(inThread, { eval: true, workerData })
  await once(thread, 'message')
  await witness.present(2)
  await thread.terminate()
  await assertGone({ witness })
  assert.equal(guarded.witness.living().length, 3)
  await scope.close()
  assert.deepEqual(
    guarded.witness.living().map(({ name }) => name),
    ['waits']
  )
})
