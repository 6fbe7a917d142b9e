/** The example server under PM2, with the configuration of the example and with PM2's defaults. */

import assert from 'node:assert/strict'
import { after, before, suite, type TestContext, test } from 'node:test'
import { ask } from './harness/client.js'
import { Conversion, otherWorkerAt, refused } from './harness/conversion.js'
import { eventually } from './harness/expectations.js'
import { name, Pm2 } from './harness/pm2.js'
import { end, isAlive, treeOf } from './harness/proc.js'

const busyTreeSize = 5

/** Makes a worker hang in a request. Resolves with the pid of that worker. */
async function hang(port: number, { workers }: Pm2): Promise<number> {
  ask(port, '/hang')
  const busy = (): number | undefined => workers.find((pid) => treeOf(pid).length === busyTreeSize)
  await eventually('a worker runs a command', () => busy() !== undefined)
  return busy() as number
}

suite('under PM2', () => {
  let pm2: Pm2
  before(async () => {
    pm2 = await Pm2.start()
  })
  after(() => pm2.close())

  /** Starts the server, which is deleted at the end of the test. */
  async function serve(t: TestContext, override: Parameters<Pm2['serve']>[0] = {}): Promise<number> {
    t.after(() => pm2.deleteAll())
    return pm2.serve(override)
  }

  for (const [exec_mode, instances] of [
    ['cluster', 2],
    ['fork', 1]
  ] as const) {
    suite(`in mode ${exec_mode}`, () => {
      let port: number
      before(async () => {
        port = await pm2.serve({ exec_mode, instances, env: { WORKER_TIMEOUT_MS: '1500' } })
      })
      after(() => pm2.deleteAll())

      test('a killed worker leaves nothing, and another one serves', async () => {
        const worker = await hang(port, pm2)
        const { workers } = pm2
        assert.equal(workers.length, instances)
        const tree = treeOf(worker)
        process.kill(worker, 'SIGKILL')
        await eventually('its tree is gone', () => !tree.some(isAlive))
        await otherWorkerAt(port, workers)
      })

      test('a hung worker leaves nothing, and another one serves', async () => {
        const { workers } = pm2
        const blocked = ask(port, '/block')
        await eventually('its command runs', () => pm2.family.living('sleep 1000').length === 1)
        await assert.rejects(blocked.answer)
        await otherWorkerAt(port, workers)
        assert.deepEqual(pm2.family.living('sleep 1000'), [])
      })

      if (exec_mode === 'cluster') {
        test('reload drains the old workers while new ones serve', async () => {
          const { workers } = pm2
          const conversion = await Conversion.start(port, pm2.family)
          const reloaded = pm2.act('reload', name)
          await otherWorkerAt(port, workers)
          assert.deepEqual(await conversion.finish(), [200, 'first, last'])
          await reloaded
          const areReplaced = (): boolean => !pm2.workers.some((pid) => workers.includes(pid))
          await eventually('the old workers are gone', areReplaced)
        })
      }

      test('stop drains', async () => {
        // PM2 stops workers one by one, and the remaining ones would still accept requests.
        if (instances > 1) await pm2.act('scale', name, 1)
        const conversion = await Conversion.start(port, pm2.family)
        const stopped = pm2.act('stop', name)
        await refused(port)
        assert.deepEqual(await conversion.finish(), [200, 'first, last'])
        await stopped
        await pm2.onlyDaemon()
      })
    })
  }

  test('with treekill, PM2 kills the commands of requests that should be drained', async (t) => {
    const port = await serve(t, { instances: 1, treekill: true })
    const conversion = await Conversion.start(port, pm2.family)
    const stopped = pm2.act('stop', name)
    await eventually('the command is gone', () => pm2.family.living('gzip -c').length === 0)
    const [status] = await conversion.finish().catch(() => [undefined])
    assert.notEqual(status, 200)
    await stopped
  })

  for (const treekill of [true, false]) {
    const effect = treekill ? 'kills the keeper before it has ended everything' : 'leaves it to the keeper'

    test(`with too short a kill_timeout and treekill: ${treekill}, PM2 ${effect}`, async (t) => {
      const left = (): { pid: number }[] => pm2.family.living('sleep 1000')
      // Keeps starting processes, also after PM2 has listed those to kill.
      pm2.replace('gzip', 'trap "" INT TERM\nwhile :; do sleep 1000 & sleep 0.1; done')
      const port = await serve(t, { instances: 1, treekill, kill_timeout: 1_600 })
      ask(port, '/convert', { method: 'POST', body: 'body' })
      await eventually('it starts processes', () => left().length > 1)
      await pm2.act('stop', name)
      if (treekill) {
        assert.deepEqual(pm2.family.living('keeper/main.js'), [])
        assert.ok(left().length > 0, 'treekill leaves nothing: recommend it in the docs')
        await eventually('every leftover is ended', () => {
          for (const { pid } of [...pm2.family.living('gzip'), ...left()]) end(pid)
          return left().length === 0
        })
      } else {
        await pm2.onlyDaemon()
      }
    })
  }

  test('pm2 kill leaves nothing', async () => {
    const port = await pm2.serve({ instances: 1 })
    const conversion = await Conversion.start(port, pm2.family)
    const killed = pm2.run('kill')
    await refused(port)
    assert.deepEqual(await conversion.finish(), [200, 'first, last'])
    await killed
    await pm2.gone()
  })
})

test('a cluster leaves nothing when PM2 itself is killed', async (t) => {
  const pm2 = await Pm2.start()
  t.after(() => pm2.close())
  await hang(await pm2.serve({ env: { DRAIN_MS: '300' } }), pm2)
  process.kill(pm2.daemon, 'SIGKILL')
  await pm2.gone()
})
