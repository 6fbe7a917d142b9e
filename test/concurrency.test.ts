/** `limits`: how many commands of a server and of a route run at once, who is next, and who is refused. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { suite, type TestContext, test } from 'node:test'
import express from 'express'
import express4 from 'express4'
import Fastify from 'fastify'
import fastifyGuard, { type Limits, type RouteGuardOptions } from 'fastify-subprocess-guard'
import subprocessGuard, { type GuardedRequest as PlainRequest } from 'fastify-subprocess-guard/express'
import { type Asked, ask } from './harness/client.js'
import { distantMs, passDeadlines } from './harness/deadlines.js'
import { assertClean, assertGone, eventually } from './harness/expectations.js'
import { type Kind, kinds } from './harness/kinds.js'
import type { GuardedRequest, Served } from './harness/served.js'
import { shareKeeper } from './harness/shared-keeper.js'
import { Turns } from './harness/turns.js'

shareKeeper()

/** A server whose requests run one command each. The query of a request is the name of its command. */
class Limited {
  readonly served: Served
  readonly turns: Turns
  /** The commands that were called for, in order. */
  readonly called: string[]
  readonly asked: Record<string, Asked> = {}

  private constructor(served: Served, called: string[]) {
    this.served = served
    this.turns = new Turns(served.witness)
    this.called = called
  }

  /** `routes`: the options of each route, by its path. */
  static async start(
    t: TestContext,
    kind: Kind,
    limits: Limits | undefined,
    routes: Record<string, RouteGuardOptions | undefined>
  ): Promise<Limited> {
    const called: string[] = []
    const guard = { timeout: distantMs, ...(limits === undefined ? {} : { limits }) }
    const served = await kind.serve({ guard }, (served) => {
      const handle = async (request: GuardedRequest): Promise<string> => {
        const name = request.raw.url?.split('?')[1] as string
        const command = new Turns(served.witness).spawn(request.subprocesses, name)
        called.push(name)
        command.once('error', () => {})
        await new Promise((resolve) => command.once('close', resolve))
        return `${name} has run`
      }
      for (const [path, override] of Object.entries(routes)) served.get(path, handle, override)
    })
    t.after(() => served.close())
    return new Limited(served, called)
  }

  /** Sends requests one after the other, so that their commands are called for in this order. */
  async askFor(path: string, ...names: string[]): Promise<void> {
    for (const name of names) {
      this.asked[name] = ask(this.served.port, `${path}?${name}`)
      await eventually(`${name} is called for`, () => this.called.includes(name))
    }
  }

  /** Ends a command that runs, and returns the name of the one that runs next. */
  async nextAfter(name: string): Promise<string | undefined> {
    const before = this.turns.started.length
    await this.turns.end(name)
    const started = await this.turns.untilStarted(before + 1)
    assert.equal(started.length, before + 1)
    return started.at(-1)
  }

  async bodyOf(name: string): Promise<string | undefined> {
    return (await this.asked[name]?.answer)?.body
  }

  /** Ends what runs, until everything that was called for has run or was refused. */
  async finish(): Promise<void> {
    await assertGone(this.served)
    await assertClean(this.served)
  }
}

const byKeeper = kinds.filter(({ launch }) => launch === 'keeper')
const byWorker = kinds.filter(({ launch }) => launch === 'direct')

for (const kind of byKeeper) {
  suite(kind.name, () => {
    test('runs no more commands at once than the server and the route allow', async (t) => {
      const limited = await Limited.start(
        t,
        kind,
        { concurrency: 3 },
        {
          '/a': { limits: { concurrency: 2 } },
          '/b': undefined
        }
      )
      const { turns } = limited
      await limited.askFor('/a', 'a1', 'a2', 'a3', 'a4')
      await limited.askFor('/b', 'b1', 'b2', 'b3')
      assert.deepEqual((await turns.untilStarted(3)).toSorted(), ['a1', 'a2', 'b1'])
      // The freed place is that of the server and of the route: the other route has waited for it for longer.
      assert.equal(await limited.nextAfter('a1'), 'b2')
      assert.equal(await limited.nextAfter('a2'), 'a3')
      assert.equal(turns.running, 3)
      assert.equal(await limited.nextAfter('b1'), 'b3')
      // The last one of a route with two places, one of which is taken.
      assert.equal(await limited.nextAfter('b2'), 'a4')
      for (const name of ['b3', 'a3', 'a4']) await turns.end(name)
      for (const name of limited.called) assert.equal(await limited.bodyOf(name), `${name} has run`)
      await limited.finish()
    })

    test('runs the commands of a route in the order of their calls', async (t) => {
      const limited = await Limited.start(t, kind, undefined, { '/a': { limits: { concurrency: 1 } } })
      const names = ['a1', 'a2', 'a3', 'a4', 'a5']
      await limited.askFor('/a', ...names)
      await limited.turns.untilStarted(1)
      for (const [index, name] of names.slice(1).entries()) {
        assert.equal(await limited.nextAfter(names[index] as string), name)
      }
      await limited.turns.end('a5')
      await limited.finish()
    })

    test('gives each route a turn, however many commands of another one wait', async (t) => {
      const limited = await Limited.start(t, kind, { concurrency: 1 }, { '/a': undefined, '/b': undefined })
      await limited.askFor('/a', 'a1', 'a2', 'a3', 'a4')
      await limited.askFor('/b', 'b1', 'b2')
      let last = (await limited.turns.untilStarted(1))[0] as string
      for (let count = 1; count < 6; count++) last = (await limited.nextAfter(last)) as string
      await limited.turns.end(last)
      assert.deepEqual(limited.turns.started, ['a1', 'a2', 'b1', 'a3', 'b2', 'a4'])
      await limited.finish()
    })

    test('does not limit a route without limits', async (t) => {
      const limited = await Limited.start(t, kind, undefined, {
        '/a': { limits: { concurrency: 1 } },
        '/b': undefined
      })
      await limited.askFor('/a', 'a1', 'a2')
      await limited.askFor('/b', 'b1', 'b2')
      assert.deepEqual((await limited.turns.untilStarted(3)).toSorted(), ['a1', 'b1', 'b2'])
      assert.equal(await limited.nextAfter('a1'), 'a2')
      for (const name of ['b1', 'b2', 'a2']) await limited.turns.end(name)
      await limited.finish()
    })

    test('answers 503 when more would wait than the server or the route allow', async (t) => {
      const limited = await Limited.start(
        t,
        kind,
        { concurrency: 1, queue: 2 },
        {
          '/a': { limits: { queue: 1 } },
          '/b': undefined
        }
      )
      await limited.askFor('/a', 'a1', 'a2')
      await limited.turns.untilStarted(1)
      const refused = await ask(limited.served.port, '/a?a3').answer
      assert.equal(refused.status, 503)
      assert.match(refused.body, /"ERR_SUBPROCESS_BUSY".*limits\.queue of the route GET \/a is 1, /)
      await limited.askFor('/b', 'b1')
      const { status, body } = await ask(limited.served.port, '/b?b2').answer
      assert.equal(status, 503)
      assert.match(body, /"ERR_SUBPROCESS_BUSY".*limits\.queue of the server is 2, /)
      for (const name of ['a1', 'a2', 'b1']) {
        await limited.turns.untilStarted(limited.called.indexOf(name) + 1)
        await limited.turns.end(name)
      }
      await limited.finish()
    })

    for (const [how, leave] of Object.entries({
      'its client leaves': (limited: Limited) => limited.asked.a2?.leave(),
      'its deadline passes': async () => {
        await passDeadlines({ timeoutMs: distantMs + 1 })
      }
    })) {
      test(`gives the place in the queue to the next one when ${how}`, async (t) => {
        const limited = await Limited.start(
          t,
          kind,
          { concurrency: 1, queue: 1 },
          { '/a': undefined, '/short': { timeout: distantMs + 1 } }
        )
        await limited.askFor('/a', 'a1')
        await limited.turns.untilStarted(1)
        await limited.askFor('/short', 'a2')
        assert.equal((await ask(limited.served.port, '/a?refused').answer).status, 503)
        await leave(limited)
        if (how === 'its deadline passes') {
          const answer = await limited.asked.a2?.answer
          assert.equal(answer?.status, 503)
          assert.match(answer.body, /ERR_SUBPROCESS_DEADLINE/)
        }
        await eventually('the scope is closed', () => limited.served.guard.scopes().length === 1)
        await limited.askFor('/a', 'a3')
        assert.equal(await limited.nextAfter('a1'), 'a3')
        await limited.turns.end('a3')
        assert.equal(await limited.bodyOf('a3'), 'a3 has run')
        assert.deepEqual(limited.turns.started, ['a1', 'a3'])
        await limited.finish()
      })
    }

    test('answers requests whose command waits when the server shuts down', async (t) => {
      const limited = await Limited.start(t, kind, { concurrency: 1 }, { '/a': undefined })
      await limited.askFor('/a', 'a1', 'a2')
      await limited.turns.untilStarted(1)
      const closed = limited.served.close()
      for (const name of ['a1', 'a2']) {
        const answer = await limited.asked[name]?.answer
        assert.equal(answer?.status, 503)
        assert.match(answer.body, /ERR_SUBPROCESS_SHUTDOWN/)
      }
      await closed
      assert.deepEqual(limited.turns.started, ['a1'])
    })

    test('gives the places of a request to the next ones when its handler has answered', async (t) => {
      const served = await kind.serve({ guard: { limits: { concurrency: 2 } } }, (served) => {
        const turns = new Turns(served.witness)
        served.get('/leaves', async ({ subprocesses }) => {
          for (const name of ['1', '2', '3', '4']) turns.spawn(subprocesses, name)
          await turns.untilStarted(2)
          return 'answered'
        })
        served.get(
          '/next',
          async ({ subprocesses }) => (await subprocesses.execFile('echo', ['next'])).stdout
        )
      })
      t.after(() => served.close())
      assert.equal((await ask(served.port, '/leaves').answer).body, 'answered')
      assert.equal((await ask(served.port, '/next').answer).body, 'next\n')
      assert.deepEqual(new Turns(served.witness).started.toSorted(), ['1', '2'])
      await assertGone(served)
      await assertClean(served)
    })
  })
}

for (const kind of byWorker) {
  test(`${kind.name}: refuses a command that would have to wait`, async (t) => {
    const limited = await Limited.start(
      t,
      kind,
      { concurrency: 2 },
      {
        '/a': { limits: { concurrency: 1 } },
        '/b': undefined
      }
    )
    await limited.askFor('/a', 'a1')
    const ofRoute = await ask(limited.served.port, '/a?a2').answer
    assert.equal(ofRoute.status, 503)
    assert.match(
      ofRoute.body,
      /BUSY.*limits\.concurrency of the route GET \/a is 1, .*direct launch cannot wait/
    )
    await limited.askFor('/b', 'b1')
    const ofServer = await ask(limited.served.port, '/b?b2').answer
    assert.equal(ofServer.status, 503)
    assert.match(ofServer.body, /BUSY.*limits\.concurrency of the server is 2, .*direct launch cannot wait/)
    await limited.turns.untilStarted(2)
    await limited.turns.end('a1')
    assert.equal(await limited.bodyOf('a1'), 'a1 has run')
    await limited.askFor('/a', 'a3')
    await limited.turns.untilStarted(3)
    for (const name of ['b1', 'a3']) await limited.turns.end(name)
    await limited.finish()
  })
}

suite('the header Retry-After', () => {
  const limits = { concurrency: 1, queue: 0 }

  test('is sent by the default error handler of Fastify', async (t) => {
    const app = Fastify()
    t.after(() => app.close())
    await app.register(fastifyGuard, { limits })
    app.get('/', async ({ subprocesses }) => {
      subprocesses.spawn('sleep', ['1000'])
      subprocesses.spawn('sleep', ['1000'])
    })
    const { statusCode, headers, body } = await app.inject('/')
    assert.deepEqual([statusCode, headers['retry-after']], [503, '1'])
    assert.equal(JSON.parse(body).code, 'ERR_SUBPROCESS_BUSY')
  })

  for (const [version, framework] of Object.entries({ 5: express, 4: express4 as never as typeof express })) {
    test(`is sent by the default error handler of Express ${version}`, async (t) => {
      const app = framework().set('env', 'test')
      const guard = subprocessGuard({ limits })
      app.use(guard)
      app.get('/', (req) => {
        req.spawn('sleep', ['1000'])
        req.spawn('sleep', ['1000'])
      })
      const { status, headers, body } = await answerOf(t, app, guard)
      assert.deepEqual([status, headers['retry-after']], [503, '1'])
      assert.match(body, /Too many commands/)
    })
  }
})

test('without route names, the requests count together for which the same object sets the limits', async (t) => {
  const guard = subprocessGuard()
  t.after(() => guard.close())
  const [one, two] = [
    { concurrency: 1, queue: 0 },
    { concurrency: 2, queue: 0 }
  ].map((limits) => subprocessGuard.route({ limits }))
  const refusals: Record<string, string> = {}
  const handle = (req: IncomingMessage, res: ServerResponse): void => {
    const limit = req.url?.startsWith('/one') ? one : two
    const fail = (error: unknown): void => {
      refusals[req.url as string] = String(error)
      res.writeHead(503).end()
    }
    guard(req, res, () =>
      limit?.(req, res, (error) => {
        if (error !== undefined) return fail(error)
        try {
          ;(req as PlainRequest)
            .spawn('sleep', ['1000'])
            .once('spawn', () => res.writeHead(200).flushHeaders())
        } catch (error) {
          fail(error)
        }
      })
    )
  }
  const server = createServer(handle).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const asked = ['/one/1', '/two/1', '/two/2'].map((path) => ask(port, path))
  for (const { head } of asked) assert.equal((await head).statusCode, 200)
  for (const path of ['/one/2', '/two/3']) assert.equal((await ask(port, path).answer).status, 503)
  assert.match(refusals['/one/2'] as string, /limits\.queue of the route is 0/)
  for (const { leave } of asked) leave()
  server.close()
})

test('a queue at an Express route without a limit of concurrency is an error of its requests', async (t) => {
  const answerWith = async (limits: Limits | undefined) => {
    const app = express().set('env', 'test')
    const guard = subprocessGuard(limits === undefined ? {} : { limits })
    app.use(guard)
    app.get('/', subprocessGuard.route({ limits: { queue: 1 } }), (_req, res) => void res.send('fine'))
    return answerOf(t, app, guard)
  }
  assert.equal((await answerWith({ concurrency: 1 })).body, 'fine')
  const { status, body } = await answerWith(undefined)
  assert.equal(status, 500)
  assert.match(body, /subprocessGuard\.route\(\)\.limits\.queue is 1: no command waits/)
})

/** Asks an Express app for `/`, and closes it at the end of the test. */
async function answerOf(
  t: TestContext,
  app: ReturnType<typeof express>,
  guard: ReturnType<typeof subprocessGuard>
) {
  const server = createServer(app).listen(0, '127.0.0.1')
  t.after(async () => {
    server.close()
    await guard.close()
  })
  await once(server, 'listening')
  return ask((server.address() as AddressInfo).port, '/').answer
}
