/** The guard in encapsulated contexts of Fastify, and together with other plugins. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, connect } from 'node:net'
import { text } from 'node:stream/consumers'
import { suite, test } from 'node:test'
import multipart from '@fastify/multipart'
import underPressure from '@fastify/under-pressure'
import websocket from '@fastify/websocket'
import Fastify, { type FastifyInstance, type FastifyRequest } from 'fastify'
import subprocessGuard, { type SubprocessGuardOptions } from 'fastify-subprocess-guard'
import WebSocket from 'ws'
import { ask } from './harness/client.js'
import { distantMs, passDeadlines } from './harness/deadlines.js'
import { assertClean, assertGone, assertOneLine, eventually } from './harness/expectations.js'
import { statOf } from './harness/proc.js'
import { type Served, serve } from './harness/server.js'
import { shareKeeper } from './harness/shared-keeper.js'
import { Worker } from './harness/worker.js'

const never = (): Promise<never> => new Promise(() => {})

function hangAt(app: FastifyInstance, served: Served, url: string): void {
  app.get(url, async (request) => {
    served.run(request, 'daemon.sh')
    await never()
  })
}

suite('a guard registered in a context', () => {
  shareKeeper()

  test('guards only that context', async (t) => {
    const served = await serve({ guard: false }, (app, served) => {
      app.get('/outside', async (request) => ({ isGuarded: 'subprocesses' in request }))
      app.register(async (child) => {
        await child.register(subprocessGuard, { timeout: distantMs, grace: 0 })
        child.get('/inside', async (request) => {
          request.spawn('sh', ['-c', 'exec 9>"$WITNESS"; echo "alive $$ inside" >&9; exec sleep 1000'], {
            stdio: 'ignore',
            env: served.witness.env
          })
          await never()
        })
      })
    })
    t.after(() => served.close())
    assert.deepEqual(JSON.parse((await ask(served.port, '/outside').answer).body), { isGuarded: false })
    const { answer } = ask(served.port, '/inside')
    await served.witness.present(1)
    await passDeadlines()
    const { status, body } = await answer
    assert.deepEqual([status, JSON.parse(body).code], [503, 'ERR_SUBPROCESS_DEADLINE'])
    await assertGone(served)
  })

  test('guards the children of that context', async (t) => {
    const served = await serve({}, (app, served) => {
      app.register(async (child) => {
        hangAt(child, served, '/child')
      })
    })
    t.after(() => served.close())
    const asked = ask(served.port, '/child')
    await served.witness.present(2)
    asked.leave()
    await assertGone(served)
    await assertOneLine(served, 'disconnected')
    await assertClean(served)
  })
})

suite('a guard in one of several contexts', () => {
  test('has its own options, and shares the keeper with sibling contexts', async (t) => {
    const keepers: number[] = []
    const ids: string[] = []
    let begun = 0
    let closeLong = (): void => {}
    const served = await serve({ guard: false }, (app) => {
      for (const [prefix, options] of [
        ['/short', { timeout: distantMs, grace: 100 }],
        ['/long', { timeout: 2 * distantMs, grace: 0 }]
      ] as const) {
        app.register(
          async (child) => {
            await child.register(subprocessGuard, options)
            keepers.push(child.subprocessGuard.keeper)
            child.get('/hang', async (request) => {
              ids.push(request.subprocesses.id)
              const { stdout } = request.spawn('sh', [
                '-c',
                'trap "" TERM; echo ready; while :; do sleep 1000; done'
              ])
              if (prefix === '/long') closeLong = () => void request.subprocesses.close()
              await once(stdout, 'data')
              begun++
              await never()
            })
          },
          { prefix }
        )
      }
    })
    t.after(() => served.close())
    const long = ask(served.port, '/long/hang')
    const short = ask(served.port, '/short/hang')
    await eventually('both ignore SIGTERM', () => begun === 2)
    await passDeadlines()
    assert.equal((await short.answer).status, 503)
    await eventually('the short one is closed', () => served.scopeLines.length === 1)
    assert.equal(served.scopeLines[0]?.reason, 'deadline')
    assert.ok((served.scopeLines[0]?.closeMs as number) >= 100)
    closeLong()
    await eventually('the long one is closed', () => served.scopeLines.length === 2)
    assert.equal(served.scopeLines[1]?.reason, 'closed')
    long.leave()
    assert.equal(keepers[0], keepers[1])
    assert.notEqual(ids[0], ids[1])
    await served.app.close()
    await eventually('the keeper is gone', () => statOf(keepers[0] as number) === undefined)
  })

  for (const isNested of [false, true]) {
    test(`cannot be registered again ${isNested ? 'in a child context' : 'in the same context'}`, async (t) => {
      const app = Fastify()
      t.after(() => app.close())
      await app.register(subprocessGuard)
      const { keeper } = app.subprocessGuard
      if (isNested) app.register(async (child) => void (await child.register(subprocessGuard)))
      else app.register(subprocessGuard)
      await assert.rejects(
        async () => app.ready(),
        (error: Error) => {
          assert.ok(error instanceof TypeError)
          assert.match(
            error.message,
            /used twice.*this context has a guard already: .*config\.subprocessGuard/
          )
          return true
        }
      )
      await app.close()
      await eventually('the keeper is gone', () => statOf(keeper) === undefined)
    })
  }
})

suite('together with other plugins', () => {
  shareKeeper()

  suite('@fastify/under-pressure', () => {
    for (const isFirst of [true, false]) {
      test(`a rejected request gets 503 and has no scope (guard registered ${isFirst ? 'before' : 'after'} it)`, async (t) => {
        let handled = 0
        const app = Fastify()
        t.after(() => app.close())
        if (isFirst) await app.register(subprocessGuard)
        await app.register(underPressure, { healthCheck: async () => false, healthCheckInterval: 60_000 })
        if (!isFirst) await app.register(subprocessGuard)
        app.get('/', async (request) => {
          handled++
          request.spawn('true')
        })
        await app.listen({ port: 0, host: '127.0.0.1' })
        const { port } = app.server.address() as AddressInfo
        const { status, body } = await ask(port, '/').answer
        assert.deepEqual([status, JSON.parse(body).code], [503, 'FST_UNDER_PRESSURE'])
        assert.equal(handled, 0)
        assert.deepEqual(app.subprocessGuard.scopes(), [])
      })
    }
  })

  test('@fastify/websocket: a subprocess ends with its connection', async (t) => {
    const served = await serve({}, (app, served) => {
      app.register(websocket)
      app.register(async (child) => {
        child.get('/socket', { websocket: true }, (socket, request) => {
          const { stdin, stdout } = request.spawn('cat')
          served.run(request, 'daemon.sh')
          socket.on('message', (data) => stdin.write(`${data}\n`))
          stdout.on('data', (data: Buffer) => socket.send(`${data}`))
        })
      })
    })
    t.after(() => served.close())
    const socket = new WebSocket(`ws://127.0.0.1:${served.port}/socket`)
    await once(socket, 'open')
    socket.send('echo')
    const [data] = await once(socket, 'message')
    assert.equal(`${data}`, 'echo\n')
    await served.witness.present(2)
    socket.terminate()
    await assertGone(served)
    assert.equal((await assertOneLine(served, 'disconnected')).processes.length, 3)
    await assertClean(served)
  })

  suite('@fastify/multipart', () => {
    const boundary = 'boundary'
    const file = Buffer.alloc(3_000_000, 'x')
    const body = Buffer.concat([
      Buffer.from(`--${boundary}\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n`),
      file,
      Buffer.from(`\r\n--${boundary}--\r\n`)
    ])
    const upload = {
      method: 'POST',
      headers: { 'content-type': `multipart/form-data; boundary=${boundary}` }
    }

    async function inputOf(request: FastifyRequest) {
      const part = await request.file({ limits: { fileSize: file.length + 1 } })
      return part?.file
    }

    function serveUploads(guard: SubprocessGuardOptions = {}): Promise<Served> {
      return serve({ guard }, (app, served) => {
        app.register(multipart)
        app.post('/count', async (request) =>
          request.subprocesses.stream('wc', ['-c'], { input: await inputOf(request) })
        )
        app.post('/fail', async (request) =>
          request.subprocesses.stream('sh', ['-c', 'exit 5'], { input: await inputOf(request) })
        )
        app.post('/hang', async (request) => {
          const input = await inputOf(request)
          served.run(request, 'daemon.sh')
          return request.subprocesses.stream('wc', ['-c'], { input })
        })
      })
    }

    test('an uploaded file can be the input of a command', async (t) => {
      const served = await serveUploads()
      t.after(() => served.close())
      const answer = await ask(served.port, '/count', { ...upload, body }).answer
      assert.deepEqual([answer.status, answer.body.trim()], [200, `${file.length}`])
      await assertClean(served)
    })

    test('a command that fails without reading the file is a 502', async (t) => {
      const served = await serveUploads()
      t.after(() => served.close())
      assert.equal((await ask(served.port, '/fail', { ...upload, body }).answer).status, 502)
      await assertClean(served)
    })

    test('an upload that still arrives at the deadline is answered with 503, and its command ends', async (t) => {
      const served = await serveUploads({ timeout: distantMs })
      t.after(() => served.close())
      const socket = connect(served.port, '127.0.0.1')
      t.after(() => socket.destroy())
      const type = upload.headers['content-type']
      socket.write(
        `POST /hang HTTP/1.1\r\nhost: test\r\ncontent-type: ${type}\r\ncontent-length: ${body.length}\r\n\r\n`
      )
      socket.write(body.subarray(0, 1_000))
      const answer = text(socket)
      await served.witness.present(2)
      await passDeadlines()
      assert.match(await answer, /^HTTP\/1\.1 503 .*ERR_SUBPROCESS_DEADLINE/s)
      await assertGone(served)
      await assertOneLine(served, 'deadline')
      await assertClean(served)
    })

    test('an upload that is cut off ends its command', async (t) => {
      const served = await serveUploads()
      t.after(() => served.close())
      const headers = { ...upload.headers, 'content-length': body.length }
      const asked = ask(served.port, '/hang', { ...upload, headers, body: body.subarray(0, 1_000_000) })
      await served.witness.present(2)
      asked.leave()
      await assertGone(served)
      await assertClean(served)
    })
  })
})

test('together with close-with-grace, a worker that gets SIGTERM leaves nothing', async (t) => {
  const worker = await Worker.start({ env: { CLOSE_WITH_GRACE: '1' } })
  t.after(() => worker.close())
  worker.run('tree-ignores-term.sh')
  worker.run('daemon-empty-environment.sh')
  await worker.witness.present(6)
  worker.kill('SIGTERM')
  await worker.dead()
  assert.equal(await worker.status(), 0)
  assert.deepEqual(worker.witness.living(), [])
  await worker.keeperDead()
  await assertGone(worker)
  // The worker has ended its scopes itself, so the keeper had nothing to end or to log.
  assert.deepEqual(await worker.keeperLines(), [])
  assert.deepEqual(worker.temporaryFiles(), [])
})
