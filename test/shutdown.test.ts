/** Server shutdown: requests in flight are drained, then closed (docs/faults.md, 39). */

import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import Fastify from 'fastify'
import subprocessGuard from 'fastify-subprocess-guard'
import { ask } from './harness/client.js'
import { assertGone, assertLeft, assertOneLine, eventually } from './harness/expectations.js'
import { commandOf } from './harness/guarded.js'
import { childrenOf, lives } from './harness/proc.js'
import { grace, type Setup, serve } from './harness/server.js'
import { shareKeeper } from './harness/shared-keeper.js'
import { Witness } from './harness/witness.js'

const never = (): Promise<never> => new Promise(() => {})

/** A server with a route that answers when `release()` is called, and one that never answers. */
async function serveShutdown(setup: Setup) {
  let release = (): void => {}
  const released = new Promise<void>((resolve) => {
    release = resolve
  })
  const served = await serve(setup, (app, served) => {
    app.get('/slow', async (request) => {
      served.run(request, 'daemon.sh')
      await served.witness.present(2)
      await released
      request.spawn('true')
      return 'answer'
    })
    app.get('/hang', async (request) => {
      served.run(request, 'daemon.sh')
      await never()
    })
    app.get('/hang-without-scope', never)
  })
  return Object.assign(served, { release, released })
}

async function assertKeeperGone(keeper: number): Promise<void> {
  assert.ok(keeper > 0, 'there was a keeper')
  await eventually('the keeper is gone', () => !lives(keeper))
}

for (const launch of ['keeper', 'direct'] as const) {
  suite(`app.close(), launch: ${launch}`, () => {
    test('lets a request in flight finish, and even spawn, within the drain period', async (t) => {
      const served = await serveShutdown({ guard: { launch, drain: 60_000 } })
      t.after(() => served.close())
      const asked = ask(served.port, '/slow')
      await served.witness.present(2)
      const { keeper } = served.guard
      const closed = served.app.close()
      await eventually('new connections are refused', () => !served.app.server.listening)
      served.release()
      assert.equal((await asked.answer).body, 'answer')
      await closed
      await assertGone(served)
      await assertOneLine(served, 'finished')
      await assertKeeperGone(keeper)
    })

    test('lets requests by inject() and jobs of run() finish within the drain period', async (t) => {
      const served = await serveShutdown({ guard: { launch, drain: 60_000 } })
      t.after(() => served.close())
      const injected = served.app.inject('/slow')
      const job = served.guard.run({}, async (scope) => {
        await served.released
        return (await scope.execFile('echo', ['job'])).stdout
      })
      await served.witness.present(2)
      const closed = served.app.close()
      await eventually('new connections are refused', () => !served.app.server.listening)
      served.release()
      assert.equal((await injected).body, 'answer')
      assert.equal(await job, 'job\n')
      await closed
    })

    test('ends requests by inject() and jobs of run() after the drain period', async (t) => {
      const served = await serveShutdown({ guard: { launch, drain: 100 } })
      t.after(() => served.close())
      const injected = served.app.inject('/hang')
      const job = assert.rejects(
        served.guard.run({}, () => new Promise(() => {})),
        { code: 'ERR_SUBPROCESS_SHUTDOWN' }
      )
      await served.witness.present(2)
      await served.app.close()
      const { statusCode, body } = await injected
      assert.equal(statusCode, 503)
      assert.equal(JSON.parse(body).code, 'ERR_SUBPROCESS_SHUTDOWN')
      await job
      await assertGone(served)
    })

    for (const path of ['/hang', '/hang-without-scope']) {
      test(`answers the request of a hanging handler with 503 after the drain period (${path})`, async (t) => {
        const served = await serveShutdown({ guard: { launch, drain: 100 } })
        t.after(() => served.close())
        const asked = ask(served.port, path)
        if (path === '/hang') await served.witness.present(2)
        else
          await eventually('the request has arrived', () =>
            served.log.some(({ msg }) => msg === 'incoming request')
          )
        const { keeper } = served.guard
        await served.app.close()
        const { status, body } = await asked.answer
        assert.equal(status, 503)
        assert.equal(JSON.parse(body).code, 'ERR_SUBPROCESS_SHUTDOWN')
        if (path === '/hang') {
          await assertGone(served)
          await assertOneLine(served, 'shutdown')
        }
        await assertKeeperGone(keeper)
      })
    }

    test('may be called twice, concurrently and again later', async (t) => {
      const served = await serveShutdown({ guard: { launch } })
      t.after(() => served.close())
      ask(served.port, '/hang')
      await served.witness.present(2)
      const { keeper } = served.guard
      await Promise.all([served.app.close(), served.app.close()])
      await assertGone(served)
      await assertOneLine(served, 'shutdown')
      await assertKeeperGone(keeper)
      await served.app.close()
      await served.app.subprocessGuard.close()
    })

    test('during startup leaves no keeper', async () => {
      const app = Fastify()
      app.register(subprocessGuard, { launch })
      const ready = app.ready()
      await app.close()
      await ready
      assert.equal(app.subprocessGuard.keeper, 0)
      // The guard no longer reports the pid of its keeper, so look for any child.
      await eventually('this process has no child', () => childrenOf(process.pid).length === 0)
    })

    test('during startup leaves nothing that an onReady hook has started', async (t) => {
      const witness = new Witness()
      t.after(() => witness.close())
      const app = Fastify()
      app.register(subprocessGuard, { launch, grace })
      let keeper = 0
      app.addHook('onReady', async () => {
        app.subprocessGuard.open().spawn(...commandOf('daemon.sh'), { stdio: 'ignore', env: witness.env })
        await witness.present(2)
        keeper = app.subprocessGuard.keeper
      })
      const ready = app.ready()
      await witness.present(2)
      await Promise.all([ready, app.close()])
      await assertGone({ witness })
      await assertKeeperGone(keeper)
    })
  })
}

suite('app.close() while another guard also uses the keeper', () => {
  shareKeeper()

  for (const launch of ['keeper', 'direct'] as const) {
    test(`refuses to spawn after the drain period, launch: ${launch}`, async (t) => {
      let code = ''
      const served = await serve({ guard: { launch, drain: 0 } }, (app) => {
        app.get('/late', async (request, reply) => {
          await eventually('the drain is over', () => reply.raw.writableEnded)
          try {
            request.spawn('true')
          } catch (error) {
            code = (error as { code: string }).code
          }
        })
      })
      t.after(() => served.close())
      const asked = ask(served.port, '/late')
      await eventually('the request has arrived', () =>
        served.log.some(({ msg }) => msg === 'incoming request')
      )
      await served.app.close()
      assert.equal((await asked.answer).status, 503)
      await eventually('the handler has tried to spawn', () => code !== '')
      assert.equal(code, 'ERR_SUBPROCESS_SHUTDOWN')
    })
  }
})

suite('app.close()', () => {
  test('without the guard leaves what the requests have started', async (t) => {
    const served = await serveShutdown({ guard: false })
    t.after(() => served.close())
    ask(served.port, '/hang')
    await served.witness.present(2)
    await served.app.close()
    await assertLeft(served, 2)
  })
})
