/** What is Express's own: its error handlers, routers, routes with other options, and the end of the server. */

import assert from 'node:assert/strict'
import { EventEmitter, once } from 'node:events'
import { Agent, createServer, request as httpRequest } from 'node:http'
import type { AddressInfo } from 'node:net'
import { suite, type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import express, { type Express, type Request, type Response } from 'express'
import express4 from 'express4'
import type { Scope, SubprocessError } from 'fastify-subprocess-guard'
import subprocessGuard, {
  type ExpressGuard,
  type ExpressGuardOptions
} from 'fastify-subprocess-guard/express'
import { ask } from './harness/client.js'
import { distantMs } from './harness/deadlines.js'
import { assertGone, eventually } from './harness/expectations.js'
import { patienceMs } from './harness/patience.js'
import { childrenOf } from './harness/proc.js'
import { grace } from './harness/served.js'
import { shareKeeper } from './harness/shared-keeper.js'
import { Witness } from './harness/witness.js'

type Line = { msg: string; route?: string; reason?: string }

interface Running {
  readonly port: number
  readonly guard: ExpressGuard
  readonly log: Line[]
  readonly stop: () => Promise<void>
}

/** Starts an app with the guard before all else. */
async function start(
  t: TestContext,
  framework: typeof express,
  options: ExpressGuardOptions,
  routes: (app: Express) => void
): Promise<Running> {
  const log: Line[] = []
  const say = (fields: object, msg: string): void => void log.push({ ...fields, msg })
  const guard = subprocessGuard({ grace, drain: 0, logger: { info: say, warn: say, error: say }, ...options })
  const app = framework()
  app.use(guard)
  routes(app)
  const server = createServer(app).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const stop = async (): Promise<void> => {
    server.close()
    await guard.close()
    server.closeAllConnections()
  }
  t.after(stop)
  return { port, guard, log, stop }
}

/** An error handler that answers with what it was given. */
function tell(error: SubprocessError, _req: Request, res: Response, next: (error: unknown) => void): void {
  if (res.headersSent) next(error)
  else res.status(error.statusCode ?? 500).json({ code: error.code, message: error.message, told: true })
}

const codeOf = (body: string): string => JSON.parse(body).code

for (const [version, framework] of [
  ['5', express],
  ['4', express4]
] as const) {
  suite(`Express ${version}`, () => {
    shareKeeper()

    test('gives the error of a deadline to the app’s own error handler', async (t) => {
      const { port } = await start(t, framework, { timeout: 100 }, (app) => {
        app.get('/hang', () => {})
        app.use(tell)
      })
      const { status, body } = await ask(port, '/hang').answer
      assert.equal(status, 503)
      assert.deepEqual(JSON.parse(body), {
        code: 'ERR_SUBPROCESS_DEADLINE',
        message: 'The request did not end within its deadline',
        told: true
      })
    })

    test('answers a deadline by itself where there is no error handler', async (t) => {
      const { port } = await start(t, framework, { timeout: 100 }, (app) => {
        // It prints errors otherwise.
        app.set('env', 'test')
        app.get('/hang', () => {})
      })
      const { status, body } = await ask(port, '/hang').answer
      assert.equal(status, 503)
      assert.match(body, /The request did not end within its deadline/)
    })

    test('has routes with deadlines of their own, counted from the arrival', async (t) => {
      let finish: (() => void) | undefined
      const { port } = await start(t, framework, { timeout: 100 }, (app) => {
        app.get('/longer', subprocessGuard.route({ timeout: distantMs }), (req, res) => {
          const { remaining } = req.subprocesses
          finish = () => void res.json(remaining)
        })
        app.get('/hang', () => {})
        app.get('/shorter', subprocessGuard.route({ timeout: 50 }), () => {})
        app.get('/none', subprocessGuard.route({ timeout: false }), (req, res) => {
          res.json({ deadline: String(req.subprocesses.deadline) })
        })
        app.use(tell)
      })
      const asked = ask(port, '/longer')
      await eventually('it has begun', () => finish !== undefined)
      // This one came later, so the deadline that the other would have without its own is over, too.
      assert.equal((await ask(port, '/hang').answer).status, 503)
      finish?.()
      const longer = await asked.answer
      assert.equal(longer.status, 200)
      const remaining = Number(longer.body)
      assert.ok(remaining > distantMs - patienceMs && remaining <= distantMs, longer.body)
      assert.equal(codeOf((await ask(port, '/shorter').answer).body), 'ERR_SUBPROCESS_DEADLINE')
      assert.equal((await ask(port, '/none').answer).body, '{"deadline":"Infinity"}')
    })

    test('leaves a route alone that wants no guard', async (t) => {
      let finish: (() => void) | undefined
      const { port } = await start(t, framework, { timeout: 100 }, (app) => {
        app.get('/slow', subprocessGuard.route(false), (_req, res) => {
          finish = () => void res.send('late')
        })
        app.get('/hang', () => {})
        app.get('/spawn', subprocessGuard.route(false), (req) => {
          req.spawn('true')
        })
        app.use(tell)
      })
      const slow = ask(port, '/slow')
      await eventually('it has begun', () => finish !== undefined)
      // This one came later, so the deadline of other routes is over, too.
      assert.equal((await ask(port, '/hang').answer).status, 503)
      finish?.()
      assert.equal((await slow.answer).body, 'late')
      assert.equal(codeOf((await ask(port, '/spawn').answer).body), 'ERR_SUBPROCESS_UNGUARDED')
    })

    test('refuses subprocesses before the request has come through the guard', async (t) => {
      const app = framework()
      app.get('/early', (req) => void req.spawn('true'))
      const guard = subprocessGuard()
      t.after(() => guard.close())
      app.use(guard)
      app.get('/', (_req, res) => void res.send('answer'))
      app.use(tell)
      const server = createServer(app).listen(0, '127.0.0.1')
      t.after(() => server.close())
      await once(server, 'listening')
      const { port } = server.address() as AddressInfo
      // From now on the requests of this app have `spawn()`.
      assert.equal((await ask(port, '/').answer).status, 200)
      assert.equal(codeOf((await ask(port, '/early').answer).body), 'ERR_SUBPROCESS_UNGUARDED')
    })

    test('refuses a route’s options without the guard before it', async (t) => {
      const app = framework()
      app.get('/', subprocessGuard.route({ timeout: 100 }), (_req, res) => void res.send('answer'))
      app.use(tell)
      const server = createServer(app).listen(0, '127.0.0.1')
      t.after(() => server.close())
      await once(server, 'listening')
      const { status, body } = await ask((server.address() as AddressInfo).port, '/').answer
      assert.equal(status, 500)
      assert.match(body, /subprocessGuard\.route\(\).*use that before/)
    })

    test('refuses the guard a second time on the same request', async (t) => {
      const again = subprocessGuard()
      t.after(() => again.close())
      const { port } = await start(t, framework, {}, (app) => {
        app.use(again)
        app.get('/', (_req, res) => void res.send('answer'))
        app.use(tell)
      })
      const { status, body } = await ask(port, '/').answer
      assert.equal(status, 500)
      assert.match(body, /used twice.*subprocessGuard\.route\(\)/)
    })

    test('tells the whole route of a mounted router, and of a mounted app', async (t) => {
      const { port, log } = await start(t, framework, {}, (app) => {
        const router = framework.Router()
        router.get('/of/:name', leaveOne)
        app.use('/router', router)
        const mounted = framework()
        mounted.get('/of/:name', leaveOne)
        app.use('/app', mounted)
      })
      for (const path of ['/router/of/a', '/app/of/b']) {
        assert.equal((await ask(port, path).answer).body, 'left')
      }
      await eventually('both scopes are closed', () => log.length === 2)
      assert.deepEqual(log.map(({ route }) => route).sort(), ['GET /app/of/:name', 'GET /router/of/:name'])
    })

    test('gives each request on a connection its own scope', async (t) => {
      const scopes = new Set<Scope>()
      const { port } = await start(t, framework, {}, (app) => {
        app.get('/', (req, res) => {
          scopes.add(req.subprocesses)
          res.send('answer')
        })
      })
      const agent = new Agent({ keepAlive: true, maxSockets: 1 })
      t.after(() => agent.destroy())
      for (let i = 0; i < 3; i++) {
        const sent = httpRequest({ port, agent }).end()
        const [response] = await once(sent, 'response')
        await once(response.resume(), 'end')
      }
      assert.equal(scopes.size, 3)
      await eventually('all are closed', () => [...scopes].every(({ reason }) => reason === 'finished'))
    })

    test('opens no scope for what spawns nothing, whatever becomes of it', async (t) => {
      const { port, guard, log } = await start(t, framework, {}, (app) => {
        app.set('env', 'test')
        app.get('/plain', (_req, res) => void res.send('plain'))
        app.get('/throws', () => {
          throw new Error('no')
        })
      })
      const asked = [
        ['GET', '/nowhere', 404],
        ['POST', '/nowhere', 404],
        ['GET', '/throws', 500],
        ['HEAD', '/plain', 200],
        ['OPTIONS', '/plain', 200]
      ] as const
      const running = await guard.ready
      for (const [method, path, status] of asked) {
        assert.equal((await ask(port, path, { method }).answer).status, status, `${method} ${path}`)
        assert.deepEqual(running.scopes(), [])
      }
      assert.deepEqual(log, [])
      assert.equal(childrenOf(running.keeper).length, 0)
    })

    test('ends what server-sent events have started with their connection', async (t) => {
      const witness = new Witness()
      const { port, log } = await start(t, framework, { timeout: false }, (app) => {
        app.get('/events', (req, res) => {
          res.writeHead(200, { 'content-type': 'text/event-stream' }).write('data: first\n\n')
          const program = fileURLToPath(new URL('../../test/programs/waits.sh', import.meta.url))
          req.spawn('sh', [program], { stdio: 'ignore', env: witness.env })
        })
      })
      t.after(() => witness.close())
      const events = ask(port, '/events')
      await events.head
      await witness.present(1)
      events.leave()
      await assertGone({ witness })
      await eventually('the log tells of it', () => log.length === 1)
      assert.equal(log[0]?.reason, 'disconnected')
    })
  })

  suite(`Express ${version}, start and end of the keeper`, () => {
    test('lets requests go on at its end for so long, then answers and ends them', async (t) => {
      const arrivals = new EventEmitter()
      const running = await start(t, framework, { drain: 200 }, (app) => {
        app.get('/hang', (req) => {
          req.spawn('sleep', ['1000'], { stdio: 'ignore' }).once('spawn', () => arrivals.emit('hang'))
        })
        app.get('/soon', (_req, res) => {
          arrivals.emit('soon')
          setTimeout(() => res.send('drained'), 100)
        })
        app.use(tell)
      })
      const { keeper } = await running.guard.ready
      const both = Promise.all([once(arrivals, 'hang'), once(arrivals, 'soon')])
      const hung = ask(running.port, '/hang')
      const soon = ask(running.port, '/soon')
      await both
      await Promise.all([running.stop(), running.stop()])
      assert.equal(codeOf((await hung.answer).body), 'ERR_SUBPROCESS_SHUTDOWN')
      assert.equal((await soon.answer).body, 'drained')
      assert.throws(() => process.kill(keeper, 0), { code: 'ESRCH' })
    })

    test('lets jobs of run() go on at its end, too', async (t) => {
      const { guard, stop } = await start(t, framework, { drain: 60_000 }, () => {})
      let release = (): void => {}
      const released = new Promise<void>((resolve) => {
        release = resolve
      })
      const job = (await guard.ready).run({}, async (scope) => {
        await released
        return (await scope.execFile('echo', ['job'])).stdout
      })
      const stopped = stop()
      release()
      assert.equal(await job, 'job\n')
      await stopped
    })

    test('lets requests wait for the keeper', async (t) => {
      const { port } = await start(t, framework, {}, (app) => {
        app.get('/', (req, res) => {
          req.subprocesses.execFile('echo', ['started']).then(({ stdout }) => res.send(stdout))
        })
      })
      // The server listens at once, and the keeper needs longer than that.
      assert.equal((await ask(port, '/').answer).body, 'started\n')
    })

    test('tells every request when the keeper does not start', async (t) => {
      const app = framework()
      const { execPath } = process
      process.execPath = '/missing/node'
      const guard = subprocessGuard()
      process.execPath = execPath
      app.use(guard)
      app.use(tell)
      const server = createServer(app).listen(0, '127.0.0.1')
      t.after(() => server.close())
      await once(server, 'listening')
      await assert.rejects(guard.ready, { code: 'ERR_SUBPROCESS_KEEPER_START' })
      await guard.close()
      const { status, body } = await ask((server.address() as AddressInfo).port, '/').answer
      assert.equal(status, 500)
      assert.match(body, /ERR_SUBPROCESS_KEEPER_START.*ENOENT/)
    })
  })
}

/** Leaves one process behind, so that the log tells of the scope. */
function leaveOne(req: Request, res: Response): void {
  req.spawn('sleep', ['1000'], { stdio: 'ignore' }).once('spawn', () => res.send('left'))
}
