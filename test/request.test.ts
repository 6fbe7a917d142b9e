/** When a request ends, for any reason, all that it started ends (docs/faults.md, 1, 3, 5 to 11). */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import http2 from 'node:http2'
import { connect, type Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import { suite, type TestContext, test } from 'node:test'
import websocket from '@fastify/websocket'
import type { FastifyRequest } from 'fastify'
import type { Scope, SubprocessError } from 'fastify-subprocess-guard'
import WebSocket from 'ws'
import { ask } from './harness/client.js'
import { distantMs, passAnswers, passDeadlines } from './harness/deadlines.js'
import { assertClean, assertGone, assertLeft, assertOneLine, eventually } from './harness/expectations.js'
import { type Kind, kinds } from './harness/kinds.js'
import type { Served, ServedSetup } from './harness/served.js'
import { serve } from './harness/server.js'
import { shareKeeper } from './harness/shared-keeper.js'

shareKeeper()

// For tests that need nothing to have started before the deadline.
const timeout = 100
const never = (): Promise<never> => new Promise(() => {})

/** A server whose route starts a daemon beside its command and then never answers. */
function serveHanging(kind: Kind, setup: ServedSetup): Promise<Served> {
  return kind.serve(setup, (served) => {
    for (const method of ['GET', 'POST']) {
      served.route(method, '/hang', async (request) => {
        served.run(request, 'daemon.sh')
        await never()
      })
    }
  })
}

for (const kind of kinds) {
  suite(kind.name, () => {
    suite('a request past its deadline', () => {
      for (const [method, json] of [
        ['GET', undefined],
        ['POST', { a: 1 }]
      ] as const) {
        test(`${method} is answered with 503, and its processes end`, async (t) => {
          const served = await serveHanging(kind, { guard: { timeout: distantMs } })
          t.after(() => served.close())
          const { answer } = ask(served.port, '/hang', { json })
          await served.witness.present(2)
          await passDeadlines()
          const { status, body } = await answer
          assert.equal(status, 503)
          assert.equal(JSON.parse(body).code, 'ERR_SUBPROCESS_DEADLINE')
          await assertGone(served)
          const line = await assertOneLine(served, 'deadline')
          assert.equal(line.route, `${method} /hang`)
          const ended = line.processes.map(({ pid }) => pid)
          for (const { pid } of served.witness.announced) assert.ok(ended.includes(pid))
          await assertClean(served)
        })
      }

      test('ends at its own deadline, not at that of another route', async (t) => {
        const served = await kind.serve({ guard: { timeout: 2 * distantMs } }, (served) => {
          served.get(
            '/short',
            async (request) => {
              served.run(request, 'waits.sh')
              await never()
            },
            { timeout: distantMs }
          )
          served.get('/long', async (request) => {
            request.spawn('sleep', ['1000'])
            await never()
          })
        })
        t.after(() => served.close())
        const long = ask(served.port, '/long')
        const short = ask(served.port, '/short')
        await eventually('both have begun', () => served.guard.scopes().length === 2)
        await served.witness.present(1)
        await passDeadlines()
        assert.equal((await short.answer).status, 503)
        await assertGone(served)
        await eventually('only the long one is left', () => served.guard.scopes().length === 1)
        long.leave()
        await assertClean(served)
      })

      test('may take any time on a route without a deadline', async (t) => {
        const finishHandlers: (() => void)[] = []
        const served = await kind.serve({ guard: { timeout } }, (served) => {
          for (const [url, subprocessGuard] of [
            ['/none', { timeout: false }],
            ['/off', false]
          ] as const) {
            served.get(
              url,
              async () => {
                await new Promise<void>((resolve) => finishHandlers.push(resolve))
                return 'late'
              },
              subprocessGuard
            )
          }
          served.get('/hang', never)
          served.get(
            '/unguarded',
            async (request) => {
              request.spawn('true')
            },
            false
          )
        })
        t.after(() => served.close())
        const asked = ['/none', '/off'].map((path) => ask(served.port, path))
        await eventually('both have begun', () => finishHandlers.length === 2)
        // This request came later, so by now the deadline that the others would have had has passed too.
        assert.equal((await ask(served.port, '/hang').answer).status, 503)
        for (const resolve of finishHandlers) resolve()
        const answers = await Promise.all(asked.map(({ answer }) => answer))
        assert.deepEqual(
          answers.map(({ body }) => body),
          ['late', 'late']
        )
        const { body } = await ask(served.port, '/unguarded').answer
        assert.equal(JSON.parse(body).code, 'ERR_SUBPROCESS_UNGUARDED')
      })

      test('is answered once when it completes in the tick of its deadline', async (t) => {
        const count = 20
        const completeHandlers: (() => void)[] = []
        const served = await kind.serve({ guard: { timeout: distantMs } }, (served) => {
          served.get('/tie', async (request) => {
            const child = request.spawn('sleep', ['1000'], { stdio: 'ignore' })
            if (child.pid === undefined) await once(child, 'spawn')
            await new Promise<void>((resolve) => completeHandlers.push(resolve))
            return 'done'
          })
        })
        t.after(() => served.close())
        const asked = Array.from({ length: count }, () => ask(served.port, '/tie').answer)
        await eventually('all have begun', () => completeHandlers.length === count)
        await passDeadlines({ count, inMs: 20 })
        for (const scope of served.guard.scopes()) scope.sendDeadline()
        // Some complete just before the deadline, some in its tick and some just after it.
        for (const [index, resolve] of completeHandlers.entries()) setTimeout(resolve, 18 + (index % 5))
        const answers = await Promise.all(asked)
        for (const { status, body, isCut } of answers) {
          assert.ok((status === 200 && body === 'done') || (status === 503 && !isCut), `${status} ${body}`)
        }
        await eventually('all scopes are closed', () => served.guard.scopes().length === 0)
        const late = answers.filter(({ status }) => status === 503).length
        assert.equal(served.scopeLines.length, count)
        const closedBy = (wanted: string): number =>
          served.scopeLines.filter(({ reason }) => reason === wanted).length
        // The deadline may close the scope of a request whose answer has just been written.
        assert.ok(closedBy('deadline') >= late, `${closedBy('deadline')} of ${late}`)
        assert.equal(closedBy('deadline') + closedBy('finished'), count)
        await assertClean(served)
      })

      test('is cut off when its answer has begun, and the worker lives on', async (t) => {
        const served = await kind.serve({ guard: { timeout: distantMs } }, (served) => {
          served.get(
            '/stream',
            async (request) => served.run(request, 'streams-then-waits.sh', [], { stdio: 'pipe' }).stdout
          )
        })
        t.after(() => served.close())
        const asked = ask(served.port, '/stream')
        await asked.begun
        await passDeadlines()
        const { status, body, isCut } = await asked.answer
        assert.deepEqual({ status, body, isCut }, { status: 200, body: 'start\n', isCut: true })
        await assertGone(served)
        await assertOneLine(served, 'deadline')
        await assertClean(served)
      })

      test('is answered with 503 when its stream has not produced a byte yet', async (t) => {
        const served = await kind.serve({ guard: { timeout: distantMs } }, (served) => {
          served.get(
            '/silent',
            async (request) => served.run(request, 'waits.sh', [], { stdio: 'pipe' }).stdout
          )
        })
        t.after(() => served.close())
        const { answer } = ask(served.port, '/silent')
        await served.witness.present(1)
        await passDeadlines()
        const { status, body } = await answer
        assert.equal(status, 503)
        assert.equal(JSON.parse(body).code, 'ERR_SUBPROCESS_DEADLINE')
        await assertGone(served)
        await assertClean(served)
      })

      test('is answered while its body is still arriving, and its connection is closed', async (t) => {
        const served = await kind.serve({ guard: { timeout } }, (served) => {
          served.route('POST', '/body', async () => 'never')
        })
        t.after(() => served.close())
        const socket = connect(served.port, '127.0.0.1')
        const head = [
          'POST /body HTTP/1.1',
          'host: test',
          'content-type: application/json',
          'content-length: 100'
        ]
        socket.write(`${head.join('\r\n')}\r\n\r\n{"half":`)
        assert.match(await text(socket), /^HTTP\/1\.1 503 .*ERR_SUBPROCESS_DEADLINE/s)
        await assertClean(served)
      })

      test('is cut off when the error handler does not answer either', async (t) => {
        const served = await kind.serve({ guard: { timeout: distantMs } }, (served) => {
          served.onError(never)
          served.get('/hang', async (request) => {
            served.run(request, 'waits.sh')
            await never()
          })
        })
        t.after(() => served.close())
        const { answer } = ask(served.port, '/hang')
        await served.witness.present(1)
        await passDeadlines()
        await passAnswers()
        await assert.rejects(answer, { code: 'ECONNRESET' })
        await assertGone(served)
        await assertClean(served)
      })
    })

    suite('a client that disconnects', () => {
      for (const method of ['GET', 'POST']) {
        const json = method === 'POST' ? { a: 1 } : undefined

        test(`before the handler spawns: ${method} starts nothing`, async (t) => {
          let refused: Promise<SubprocessError> | undefined
          const served = await kind.serve({}, (served) => {
            served.route(method, '/late', async (request) => {
              refused = once(request.raw.socket, 'close').then(() => {
                try {
                  request.spawn('sleep', ['1000'])
                  throw new Error('spawned without a client')
                } catch (error) {
                  return error as SubprocessError
                }
              })
              asked.leave()
              await never()
            })
          })
          t.after(() => served.close())
          const asked = ask(served.port, '/late', { json })
          await eventually('the handler runs', () => refused !== undefined)
          assert.equal((await refused)?.code, 'ERR_SUBPROCESS_DISCONNECTED')
          await assertClean(served)
        })

        test(`while the handler runs: ${method} leaves nothing`, async (t) => {
          const served = await serveHanging(kind, {})
          t.after(() => served.close())
          const asked = ask(served.port, '/hang', { json })
          await served.witness.present(2)
          asked.leave()
          await assertGone(served)
          await assertOneLine(served, 'disconnected')
          await assertClean(served)
        })

        test(`while the response streams: ${method} leaves nothing`, async (t) => {
          const served = await kind.serve({}, (served) => {
            served.route(
              method,
              '/stream',
              async (request) => served.run(request, 'streams-then-waits.sh', [], { stdio: 'pipe' }).stdout
            )
          })
          t.after(() => served.close())
          const asked = ask(served.port, '/stream', { json })
          await asked.begun
          asked.leave()
          await assertGone(served)
          await assertOneLine(served, 'disconnected')
          await assertClean(served)
        })
      }
    })

    suite('a handler', () => {
      test('that throws between two spawns leaves nothing and cannot spawn afterwards', async (t) => {
        let second: unknown
        const served = await kind.serve({}, (served) => {
          served.get('/throws', async (request) => {
            served.run(request, 'daemon.sh')
            await served.witness.present(2)
            request.raw.once('close', () => {
              try {
                request.spawn('sleep', ['1000'])
              } catch (error) {
                second = error
              }
            })
            throw new Error('between')
          })
        })
        t.after(() => served.close())
        const { status, body } = await ask(served.port, '/throws').answer
        assert.equal(status, 500)
        assert.equal(JSON.parse(body).message, 'between')
        await assertGone(served)
        await assertOneLine(served, kind.reasonOfThrow)
        await eventually('the second spawn was tried', () => second !== undefined)
        assert.equal((second as SubprocessError).code, 'ERR_SUBPROCESS_SCOPE_CLOSED')
        await assertClean(served)
      })

      test('that answers while its subprocess runs: the subprocess ends with the answer', async (t) => {
        const served = await kind.serve({}, (served) => {
          served.get('/leaves', async (request) => {
            served.run(request, 'daemon.sh')
            await served.witness.present(2)
            return 'answer'
          })
        })
        t.after(() => served.close())
        assert.equal((await ask(served.port, '/leaves').answer).body, 'answer')
        await assertGone(served)
        const { processes } = await assertOneLine(served, 'finished')
        assert.deepEqual(
          processes.map(({ ended }) => ended),
          ['SIGTERM', 'SIGTERM']
        )
        await assertClean(served)
      })

      test('cannot spawn while its scope closes or after it has closed', async (t) => {
        const errors: SubprocessError[] = []
        const served = await kind.serve({}, (served) => {
          served.get('/closes', async (request) => {
            served.run(request, 'waits.sh')
            await served.witness.present(1)
            const closed = request.subprocesses.close()
            errors.push(spawnError(request.subprocesses))
            const report = await closed
            errors.push(spawnError(request.subprocesses))
            return report
          })
        })
        t.after(() => served.close())
        const { body } = await ask(served.port, '/closes').answer
        assert.equal(JSON.parse(body).reason, 'closed')
        assert.deepEqual(
          errors.map(({ code }) => code),
          ['ERR_SUBPROCESS_SCOPE_CLOSED', 'ERR_SUBPROCESS_SCOPE_CLOSED']
        )
        await assertGone(served)
        await assertClean(served)
      })
    })

    suite('requests on one connection', () => {
      test('kept alive: each has its own deadline', async (t) => {
        const served = await serveConnection(kind, t, timeout)
        const client = served.client
        for (const path of ['/quick', '/quick', '/hang', '/quick']) {
          const sentAt = performance.now()
          client.send(path)
          const status = await client.status()
          assert.equal(status, path === '/quick' ? 200 : 503)
          // An earlier request's deadline must not shorten a later one's.
          if (path === '/hang') assert.ok(performance.now() - sentAt >= timeout - 10)
        }
        await assertClean(served)
        // The command may have ended before it could announce itself.
        assert.deepEqual(served.witness.heirs(), [])
      })

      test('pipelined: each has its own deadline and its own scope', async (t) => {
        const served = await serveConnection(kind, t, distantMs)
        const client = served.client
        client.send('/quick', '/hang', '/quick', '/hang')
        await served.witness.present(2)
        await passDeadlines({ count: 2 })
        const statuses = []
        for (let i = 0; i < 4; i++) statuses.push(await client.status())
        assert.deepEqual(statuses, [200, 503, 200, 503])
        await assertGone(served)
        await assertClean(served)
        assert.equal(served.scopeLines.filter(({ reason }) => reason === 'deadline').length, 2)
      })
    })
  })
}

// Without the guard, keeper and direct launch are the same.
for (const kind of kinds.filter(({ launch }) => launch === 'keeper')) {
  suite(`${kind.name} without the guard leaves the processes`, { concurrency: true }, () => {
    test('of a request that the framework itself answers with 503', async (t) => {
      const served = await serveHanging(kind, { guard: false, answerAfter: timeout })
      t.after(() => served.close())
      const { status } = await ask(served.port, '/hang').answer
      assert.equal(status, 503)
      await served.witness.present(2)
      await assertLeft(served, 2)
    })

    test('of a client that disconnects', async (t) => {
      const served = await serveHanging(kind, { guard: false })
      t.after(() => served.close())
      const asked = ask(served.port, '/hang')
      await served.witness.present(2)
      asked.leave()
      await assertLeft(served, 2)
    })

    test('of a handler that answers while they run', async (t) => {
      const served = await kind.serve({ guard: false }, (served) => {
        served.get('/leaves', async (request) => {
          served.run(request, 'daemon.sh')
          await served.witness.present(2)
          return 'answer'
        })
      })
      t.after(() => served.close())
      await ask(served.port, '/leaves').answer
      await assertLeft(served, 2)
    })
  })
}

// From here on, features that only Fastify has: hooks, hijacked replies and HTTP/2.
suite('a request past its deadline', () => {
  test('is cut off while a Fastify hook prevents an answer', async (t) => {
    const served = await serve({ guard: { timeout } }, (app) => {
      app.get('/fails', { onError: never }, async () => {
        throw new Error('and its hook never ends')
      })
    })
    t.after(() => served.close())
    await assert.rejects(ask(served.port, '/fails').answer, { code: 'ECONNRESET' })
    await assertClean(served)
  })
})

suite('a request whose response Fastify does not send', () => {
  test('hijacked: its scope ends with the connection', async (t) => {
    const served = await serve({}, (app, served) => {
      app.get('/raw', (request, reply) => {
        reply.hijack()
        served.run(request, 'daemon.sh')
        reply.raw.writeHead(200).write('raw')
      })
    })
    t.after(() => served.close())
    const asked = ask(served.port, '/raw')
    await Promise.all([asked.head, served.witness.present(2)])
    asked.leave()
    await assertGone(served)
    await assertOneLine(served, 'disconnected')
    await assertClean(served)
  })

  test('hijacked: its deadline cuts the connection', async (t) => {
    const served = await serve({ guard: { timeout: distantMs } }, (app, served) => {
      app.get('/raw', (request, reply) => {
        reply.hijack()
        served.run(request, 'waits.sh')
      })
    })
    t.after(() => served.close())
    const { answer } = ask(served.port, '/raw')
    await served.witness.present(1)
    await passDeadlines()
    await assert.rejects(answer, { code: 'ECONNRESET' })
    await assertGone(served)
    await assertOneLine(served, 'deadline')
    await assertClean(served)
  })

  test('server-sent events: its scope ends with the connection', async (t) => {
    const served = await serve({ guard: { timeout } }, (app, served) => {
      app.get('/events', { config: { subprocessGuard: { timeout: false } } }, (request, reply) => {
        reply.hijack()
        reply.raw.writeHead(200, { 'content-type': 'text/event-stream' })
        served.run(request, 'daemon.sh')
        const beat = setInterval(() => reply.raw.write('data: beat\n\n'), timeout / 4)
        reply.raw.once('close', () => clearInterval(beat))
      })
      app.get('/hang', never)
    })
    t.after(() => served.close())
    const asked = ask(served.port, '/events')
    const head = await asked.head
    await served.witness.present(2)
    // This request came later, so by now the deadline of other routes has passed for the events too.
    assert.equal((await ask(served.port, '/hang').answer).status, 503)
    let events = 0
    head.on('error', () => {}).on('data', () => events++)
    await eventually('events arrive after the deadline of other routes', () => events > 2)
    asked.leave()
    await assertGone(served)
    await assertOneLine(served, 'disconnected')
    await assertClean(served)
  })

  test('WebSocket: its scope ends with the socket', async (t) => {
    const served = await serve({}, (app, served) => {
      app.register(websocket)
      app.register(async (app) => {
        app.get('/socket', { websocket: true }, (socket, request) => {
          served.run(request, 'daemon.sh')
          socket.send('open')
        })
      })
    })
    t.after(() => served.close())
    const socket = new WebSocket(`ws://127.0.0.1:${served.port}/socket`)
    await once(socket, 'message')
    await served.witness.present(2)
    socket.close()
    await assertGone(served)
    await assertOneLine(served, 'disconnected')
    await assertClean(served)
  })
})

suite('a stream of HTTP/2', () => {
  async function serveHttp2(t: TestContext, guard: object = { timeout: distantMs }) {
    const served = await serve({ guard, server: { http2: true } }, (app, served) => {
      app.get('/hang', async (request) => {
        served.run(request, 'daemon.sh')
        await never()
      })
      app.get('/stream', async (request) => {
        return served.run(request, 'streams-then-waits.sh', [], { stdio: 'pipe' }).stdout
      })
    })
    const session = http2.connect(`http://127.0.0.1:${served.port}`)
    t.after(async () => {
      session.destroy()
      await served.close()
    })
    return Object.assign(served, { get: (path: string) => session.request({ ':path': path }) })
  }

  test('that is cancelled leaves nothing', async (t) => {
    const served = await serveHttp2(t, {})
    const stream = served.get('/hang')
    await served.witness.present(2)
    stream.close(http2.constants.NGHTTP2_CANCEL)
    await assertGone(served)
    await assertOneLine(served, 'disconnected')
  })

  test('that is past its deadline is answered with 503', async (t) => {
    const served = await serveHttp2(t)
    const stream = served.get('/hang')
    await served.witness.present(2)
    await passDeadlines()
    const [headers] = await once(stream, 'response')
    assert.equal(headers[':status'], 503)
    assert.match(await text(stream), /ERR_SUBPROCESS_DEADLINE/)
    await assertGone(served)
    await assertOneLine(served, 'deadline')
  })

  test('that is past its deadline is reset when its answer has begun', async (t) => {
    const served = await serveHttp2(t)
    const stream = served.get('/stream')
    const rejected = assert.rejects(text(stream))
    await once(stream, 'response')
    await passDeadlines()
    await rejected
    assert.equal(stream.rstCode, http2.constants.NGHTTP2_INTERNAL_ERROR)
    await assertGone(served)
    await assertOneLine(served, 'deadline')
  })
})

suite('a request that spawns nothing', () => {
  test('opens no scope, however it ends', async (t) => {
    const opened: FastifyRequest[] = []
    const served = await serve({}, (app) => {
      app.addHook('onResponse', async (request) => {
        if (app.subprocessGuard.scopes().length > 0) opened.push(request)
      })
      app.get('/plain', async () => 'plain')
      app.get('/rejected', { onRequest: async () => Promise.reject(new Error('no')) }, async () => 'never')
      app.options('/plain', async () => 'options')
    })
    t.after(() => served.close())
    const asked: [string, string][] = [
      ['GET', '/nowhere'],
      ['POST', '/nowhere'],
      ['GET', '/rejected'],
      ['HEAD', '/plain'],
      ['OPTIONS', '/plain']
    ]
    const answers = await Promise.all(
      asked.map(([method, path]) => ask(served.port, path, { method }).answer)
    )
    assert.deepEqual(
      answers.map(({ status }) => status),
      [404, 404, 500, 200, 200]
    )
    assert.equal(opened.length, 0)
    assert.equal(served.scopeLines.length, 0)
    await assertClean(served)
  })

  test('still has its deadline', async (t) => {
    const served = await serve({ guard: { timeout } }, (app) => {
      app.get('/hang', never)
    })
    t.after(() => served.close())
    const { status } = await ask(served.port, '/hang').answer
    assert.equal(status, 503)
  })
})

for (const launch of ['keeper', 'direct'] as const) {
  suite(`a request that reaches no route handler, launch: ${launch}`, () => {
    test('that spawns in a 404 handler, or in a hook that rejects, leaves nothing', async (t) => {
      const served = await serve({ guard: { launch } }, (app, served) => {
        app.setNotFoundHandler(async (request, reply) => {
          served.run(request, 'daemon.sh')
          await served.witness.present(2)
          return reply.code(404).send('not found')
        })
        const onRequest = async (request: FastifyRequest): Promise<void> => {
          served.run(request, 'daemon.sh')
          await served.witness.present(4)
          throw new Error('rejected')
        }
        app.get('/rejected', { onRequest }, async () => 'never')
      })
      t.after(() => served.close())
      assert.equal((await ask(served.port, '/nowhere').answer).status, 404)
      await eventually('the scope is closed', () => served.guard.scopes().length === 0)
      assert.deepEqual(served.witness.living(), [])
      assert.equal((await ask(served.port, '/rejected').answer).status, 500)
      await assertGone(served)
      await assertClean(served)
      assert.deepEqual(
        served.scopeLines.map(({ reason }) => reason),
        ['finished', 'failed']
      )
    })
  })
}

function spawnError(scope: Scope): SubprocessError {
  try {
    scope.spawn('sleep', ['1000'])
  } catch (error) {
    return error as SubprocessError
  }
  assert.fail('the closed scope has spawned')
}

/** A server, and a client on one connection that sends requests and reads the status codes of the answers. */
async function serveConnection(kind: Kind, t: TestContext, timeout: number) {
  const served = await kind.serve({ guard: { timeout } }, (served) => {
    served.get('/quick', async () => 'quick')
    served.get('/hang', async (request) => {
      served.run(request, 'waits.sh')
      await never()
    })
  })
  const socket: Socket = connect(served.port, '127.0.0.1')
  t.after(async () => {
    socket.destroy()
    await served.close()
  })
  let text = ''
  socket.setEncoding('utf8').on('data', (part: string) => {
    text += part
  })
  const client = {
    send(...paths: string[]): void {
      socket.write(paths.map((path) => `GET ${path} HTTP/1.1\r\nhost: test\r\n\r\n`).join(''))
    },
    async status(): Promise<number> {
      for (;;) {
        const found = /HTTP\/1\.1 (\d+)/.exec(text)
        if (found !== null) {
          text = text.slice(found.index + found[0].length)
          return Number(found[1])
        }
        await once(socket, 'data')
      }
    }
  }
  return Object.assign(served, { client })
}
