/**
 * Children started from events of a request's body are captured, although Node emits those events in the
 * asynchronous context of the connection (fault 58 in docs/faults.md).
 */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import type { IncomingMessage } from 'node:http'
import { connect, constants } from 'node:http2'
import { PassThrough, type Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { suite, type TestContext, test } from 'node:test'
import multipart from '@fastify/multipart'
import type { FastifyRequest } from 'fastify'
import { ask } from './harness/client.js'
import { assertClean, assertGone, assertLeft, assertOneLine, eventually } from './harness/expectations.js'
import { commandOf } from './harness/guarded.js'
import { type Kind, kinds } from './harness/kinds.js'
import type { Served } from './harness/served.js'
import { Served as FastifyServed, serve } from './harness/server.js'
import { shareKeeper } from './harness/shared-keeper.js'

shareKeeper()

const never = (): Promise<never> => new Promise(() => {})
const [fastify] = kinds as [Kind]
const bytes = { body: 'x'.repeat(200_000), headers: { 'content-type': 'application/octet-stream' } }

/** Starts `background-child.sh`, a tree of two processes, without using the scope, as a library does. */
type Start = () => void
type Read = (raw: IncomingMessage, start: Start) => unknown

/** Ways to read a body, each of which starts a command. */
const reads: Record<string, Read> = {
  "'data'": (raw, start) => raw.once('data', start).resume(),
  "'end'": (raw, start) => raw.once('end', start).resume(),
  "'readable'": (raw, start) => {
    raw.once('readable', () => {
      start()
      raw.resume()
    })
  },
  'async iteration': async (raw, start) => {
    for await (const _ of raw);
    start()
  },
  'pipeline()': (raw, start) => {
    const write = once(start)
    return pipeline(raw, new Writable({ write: (_chunk, _encoding, done) => done(void write()) }))
  },
  'the end of a pipe()': (raw, start) => {
    raw.pipe(new Writable({ write: (_chunk, _encoding, done) => done() })).once('finish', start)
  },
  'a promise that an event settles': async (raw, start) => {
    await new Promise((resolve) => raw.once('end', resolve).resume())
    start()
  }
}

function once(act: () => void): () => void {
  let isDone = false
  return () => {
    if (!isDone) act()
    isDone = true
  }
}

/** Serves a route that reads its body, starts a command meanwhile, and never answers. */
async function serveReading(t: TestContext, { serve }: Pick<Kind, 'serve'>, read: Read, capture = true) {
  const served = await serve({ guard: { capture } }, (served) => {
    // This makes the body the raw stream.
    if (served instanceof FastifyServed) {
      served.app.addContentTypeParser('application/octet-stream', (_request, body, done) => done(null, body))
    }
    for (const method of ['GET', 'POST']) {
      served.route(method, '/hang', async ({ raw }) => {
        await read(raw, startIn(served))
        await never()
      })
    }
  })
  t.after(() => served.close())
  return served
}

function startIn({ witness }: Served): Start {
  return () => void spawn(...commandOf('background-child.sh'), { stdio: 'ignore', env: witness.env })
}

async function assertEndsWithRequest(served: Served, asked: ReturnType<typeof ask>): Promise<void> {
  await served.witness.present(2)
  asked.leave()
  await assertGone(served)
  await assertOneLine(served, 'disconnected')
  await assertClean(served)
}

for (const kind of kinds.filter(({ launch }) => launch === 'keeper')) {
  suite(`${kind.name}: what a body event starts ends with the request`, () => {
    for (const [name, read] of Object.entries(reads)) {
      test(`POST: by ${name}`, async (t) => {
        const served = await serveReading(t, kind, read)
        await assertEndsWithRequest(served, ask(served.port, '/hang', bytes))
      })
    }

    test("GET: by 'end'", async (t) => {
      const served = await serveReading(t, kind, reads["'end'"] as Read)
      await assertEndsWithRequest(served, ask(served.port, '/hang'))
    })

    for (const event of ['close', 'error']) {
      test(`what '${event}' starts after the end of its request is ended and logged`, async (t) => {
        const served = await serveReading(t, kind, (raw, start) => {
          raw.on('error', () => {})
          raw.once(event, start)
          raw.once('data', () => served.log.push({ msg: 'reading', level: 0 }))
        })
        const headers = { ...bytes.headers, 'content-length': bytes.body.length + 1 }
        const asked = ask(served.port, '/hang', { ...bytes, headers })
        await eventually('the body arrives', () => served.log.some(({ msg }) => msg === 'reading'))
        asked.leave()
        await eventually('it is logged', () => served.log.some(({ msg }) => msg.includes('adopted after')))
        assert.deepEqual(served.witness.heirs(), [])
        await assertClean(served)
      })
    }
  })
}

suite("Fastify: what 'end' starts of", () => {
  test('a file of @fastify/multipart ends with the request', async (t) => {
    const served = await serve({ guard: { capture: true } }, (app, served) => {
      app.register(multipart)
      app.post('/hang', async (request) => {
        const part = await request.file()
        part?.file.once('end', startIn(served)).resume()
        await never()
      })
    })
    t.after(() => served.close())
    const disposition = 'Content-Disposition: form-data; name="file"; filename="f"'
    const body = `--boundary\r\n${disposition}\r\n\r\n${'x'.repeat(200_000)}\r\n--boundary--\r\n`
    const headers = { 'content-type': 'multipart/form-data; boundary=boundary' }
    await assertEndsWithRequest(served, ask(served.port, '/hang', { method: 'POST', body, headers }))
  })

  test('a body that a hook replaced ends with the request', async (t) => {
    const served = await serve({ guard: { capture: true } }, (app, served) => {
      app.addContentTypeParser('application/octet-stream', (_request, body, done) => done(null, body))
      app.addHook('preParsing', async (_request, _reply, payload) => payload.pipe(new PassThrough()))
      app.post('/hang', async (request: FastifyRequest) => {
        ;(request.body as Readable).once('end', startIn(served)).resume()
        await never()
      })
    })
    t.after(() => served.close())
    await assertEndsWithRequest(served, ask(served.port, '/hang', bytes))
  })
})

suite('what a body starts ends with its request', () => {
  test('over HTTP/2', async (t) => {
    const served = await serve({ guard: { capture: true }, server: { http2: true } }, (app, served) => {
      app.addContentTypeParser('application/octet-stream', (_request, body, done) => done(null, body))
      app.post('/hang', async ({ raw }) => {
        raw.once('end', startIn(served)).resume()
        await never()
      })
    })
    const client = connect(`http://127.0.0.1:${served.port}`)
    t.after(async () => {
      // The server waits until its sessions have ended.
      client.destroy()
      await served.close()
    })
    const sent = client.request({ ':method': 'POST', ':path': '/hang', ...bytes.headers })
    sent.on('error', () => {}).end(bytes.body)
    await served.witness.present(2)
    sent.close(constants.NGHTTP2_CANCEL)
    await assertGone(served)
    await assertOneLine(served, 'disconnected')
  })

  test('when the request is injected', async (t) => {
    const served = await serve({ guard: { capture: true } }, (app, served) => {
      app.addContentTypeParser('application/octet-stream', (_request, body, done) => done(null, body))
      app.post('/started', async ({ raw }) => {
        raw.once('end', startIn(served)).resume()
        await served.witness.present(2)
        return 'started'
      })
    })
    t.after(() => served.close())
    const { body, headers } = bytes
    const answer = await served.app.inject({ method: 'POST', url: '/started', payload: body, headers })
    assert.equal(answer.body, 'started')
    await assertGone(served)
  })
})

suite('two consecutive requests on a connection', () => {
  test('each own what their body events start', async (t) => {
    const routes: unknown[] = []
    const served = await serve({ guard: { capture: true } }, (app, served) => {
      app.addContentTypeParser('application/octet-stream', (_request, body, done) => done(null, body))
      for (const name of ['one', 'two']) {
        app.post(`/${name}`, async ({ raw }) => {
          await new Promise<void>((resolve) => {
            raw.once('end', () => {
              spawn(...commandOf('waits.sh'), { stdio: 'ignore', env: served.witness.env }).once(
                'spawn',
                resolve
              )
            })
            raw.resume()
          })
          await served.witness.present(name === 'one' ? 1 : 2)
          return name
        })
      }
    })
    t.after(() => served.close())
    const url = `http://127.0.0.1:${served.port}`
    for (const name of ['one', 'two']) {
      const { body, headers } = bytes
      assert.equal(await (await fetch(`${url}/${name}`, { method: 'POST', body, headers })).text(), name)
      await eventually('its scope is closed', () => served.guard.scopes().length === 0)
      routes.push(served.scopeLines.at(-1)?.route)
    }
    assert.deepEqual(routes, ['POST /one', 'POST /two'])
    await assertGone(served)
  })
})

suite('without capture', () => {
  test("what 'end' of a body starts is left running", async (t) => {
    const served = await serveReading(t, fastify, reads["'end'"] as Read, false)
    const asked = ask(served.port, '/hang', bytes)
    await served.witness.present(2)
    asked.leave()
    await assertLeft(served, 2)
  })

  test('emit() of a request is not replaced', async (t) => {
    for (const capture of [false, true]) {
      let hasOwnEmit: boolean | undefined
      const served = await serve({ guard: { capture } }, (app) => {
        app.post('/own', async ({ raw }) => {
          hasOwnEmit = Object.hasOwn(raw, 'emit')
          return ''
        })
      })
      t.after(() => served.close())
      await ask(served.port, '/own', { json: {} }).answer
      assert.equal(hasOwnEmit, capture)
    }
  })
})
