/** What is special about Express: error handlers, routers, options per route, and the end of the server. */

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

/** Starts an app whose first middleware is the guard. */
async function start(
  t: TestContext,
  framework: typeof express,
  options: ExpressGuardOptions,
  routes: (app: Express) => void
): Promise<Running> {
  const log: Line[] = []
  const write = (fields: object, msg: string): void => void log.push({ ...fields, msg })
  const logger = { info: write, warn: write, error: write }
  const guard = subprocessGuard({ grace, drain: 0, logger, ...options })
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

/** An error handler that sends the error as JSON, with a field that marks the answer as its own. */
function sendError(
  error: SubprocessError,
  _req: Request,
  res: Response,
  next: (error: unknown) => void
): void {
  if (res.headersSent) next(error)
  else res.status(error.statusCode ?? 500).json({ code: error.code, message: error.message, handled: true })
}

const codeOf = (body: string): string => JSON.parse(body).code

for (const [version, framework] of [
  ['5', express],
  ['4', express4]
] as const) {
  suite(`Express ${version}`, () => {
    shareKeeper()

    test('passes the error of a deadline to the error handler of the app', async (t) => {
      const { port } = await start(t, framework, { timeout: 100 }, (app) => {
        app.get('/hang', () => {})
        app.use(sendError)
      })
      const { status, body } = await ask(port, '/hang').answer
      assert.equal(status, 503)
      assert.deepEqual(JSON.parse(body), {
        code: 'ERR_SUBPROCESS_DEADLINE',
        message: 'The request did not end within its deadline',
        handled: true
      })
    })

    test('answers a deadline itself if there is no error handler', async (t) => {
      const { port } = await start(t, framework, { timeout: 100 }, (app) => {
        // Otherwise Express prints errors.
        app.set('env', 'test')
        app.get('/hang', () => {})
      })
      const { status, body } = await ask(port, '/hang').answer
      assert.equal(status, 503)
      assert.match(body, /The request did not end within its deadline/)
    })

    test('supports deadlines per route, measured from the arrival of the request', async (t) => {
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
        app.use(sendError)
      })
      const asked = ask(port, '/longer')
      await eventually('it has begun', () => finish !== undefined)
      // This request arrived later, so the default deadline has passed for the other one too.
      assert.equal((await ask(port, '/hang').answer).status, 503)
      finish?.()
      const longer = await asked.answer
      assert.equal(longer.status, 200)
      const remaining = Number(longer.body)
      assert.ok(remaining > distantMs - patienceMs && remaining <= distantMs, longer.body)
      assert.equal(codeOf((await ask(port, '/shorter').answer).body), 'ERR_SUBPROCESS_DEADLINE')
      assert.equal((await ask(port, '/none').answer).body, '{"deadline":"Infinity"}')
    })

    test('does not affect a route that opts out', async (t) => {
      let finish: (() => void) | undefined
      const { port } = await start(t, framework, { timeout: 100 }, (app) => {
        app.get('/slow', subprocessGuard.route(false), (_req, res) => {
          finish = () => void res.send('late')
        })
        app.get('/hang', () => {})
        app.get('/spawn', subprocessGuard.route(false), (req) => {
          req.spawn('true')
        })
        app.use(sendError)
      })
      const slow = ask(port, '/slow')
      await eventually('it has begun', () => finish !== undefined)
      // This request arrived later, so the default deadline has passed for the other one too.
      assert.equal((await ask(port, '/hang').answer).status, 503)
      finish?.()
      assert.equal((await slow.answer).body, 'late')
      assert.equal(codeOf((await ask(port, '/spawn').answer).body), 'ERR_SUBPROCESS_UNGUARDED')
    })

    test('rejects subprocesses in a route declared before the guard', async (t) => {
      const app = framework()
      app.get('/early', (req) => void req.spawn('true'))
      const guard = subprocessGuard()
      t.after(() => guard.close())
      app.use(guard)
      app.get('/', (_req, res) => void res.send('answer'))
      app.use(sendError)
      const server = createServer(app).listen(0, '127.0.0.1')
      t.after(() => server.close())
      await once(server, 'listening')
      const { port } = server.address() as AddressInfo
      // The first request through the guard adds `spawn()` to the requests of this app.
      assert.equal((await ask(port, '/').answer).status, 200)
      assert.equal(codeOf((await ask(port, '/early').answer).body), 'ERR_SUBPROCESS_UNGUARDED')
    })

    test('rejects the options of a route if no guard comes before it', async (t) => {
      const app = framework()
      app.get('/', subprocessGuard.route({ timeout: 100 }), (_req, res) => void res.send('answer'))
      app.use(sendError)
      const server = createServer(app).listen(0, '127.0.0.1')
      t.after(() => server.close())
      await once(server, 'listening')
      const { status, body } = await ask((server.address() as AddressInfo).port, '/').answer
      assert.equal(status, 500)
      assert.match(body, /subprocessGuard\.route\(\).*use that before/)
    })

    test('rejects a second guard on the same request', async (t) => {
      const again = subprocessGuard()
      t.after(() => again.close())
      const { port } = await start(t, framework, {}, (app) => {
        app.use(again)
        app.get('/', (_req, res) => void res.send('answer'))
        app.use(sendError)
      })
      const { status, body } = await ask(port, '/').answer
      assert.equal(status, 500)
      assert.match(body, /used twice.*subprocessGuard\.route\(\)/)
    })

    test('logs the full route of a mounted router and of a mounted app', async (t) => {
      const { port, log } = await start(t, framework, {}, (app) => {
        const router = framework.Router()
        router.get('/of/:name', leaveProcess)
        app.use('/router', router)
        const mounted = framework()
        mounted.get('/of/:name', leaveProcess)
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

    test('opens no scope for a request that spawns nothing, however it ends', async (t) => {
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

    test('ends what a server-sent event stream started when its connection closes', async (t) => {
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
      await eventually('it is logged', () => log.length === 1)
      assert.equal(log[0]?.reason, 'disconnected')
    })
  })

  suite(`Express ${version}, start and end of the keeper`, () => {
    test('drains requests at shutdown, then answers and ends the remaining ones', async (t) => {
      const arrivals = new EventEmitter()
      const running = await start(t, framework, { drain: 200 }, (app) => {
        app.get('/hang', (req) => {
          req.spawn('sleep', ['1000'], { stdio: 'ignore' }).once('spawn', () => arrivals.emit('hang'))
        })
        app.get('/soon', (_req, res) => {
          arrivals.emit('soon')
          setTimeout(() => res.send('drained'), 100)
        })
        app.use(sendError)
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

    test('drains jobs of run() at shutdown too', async (t) => {
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

    test('makes requests wait until the keeper has started', async (t) => {
      const { port } = await start(t, framework, {}, (app) => {
        app.get('/', (req, res) => {
          req.subprocesses.execFile('echo', ['started']).then(({ stdout }) => res.send(stdout))
        })
      })
      // The server listens at once, before the keeper has started.
      assert.equal((await ask(port, '/').answer).body, 'started\n')
    })

    test('answers every request with the error if the keeper cannot start', async (t) => {
      const app = framework()
      const { execPath } = process
      process.execPath = '/missing/node'
      const guard = subprocessGuard()
      process.execPath = execPath
      app.use(guard)
      app.use(sendError)
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

/** Leaves a process behind, so that the end of the scope is logged. */
function leaveProcess(req: Request, res: Response): void {
  req.spawn('sleep', ['1000'], { stdio: 'ignore' }).once('spawn', () => res.send('left'))
}
