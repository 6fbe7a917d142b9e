/** What frameworks make of the errors of the guard and of failed commands (FAULTS 86, 89). */

import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'
import { suite, type TestContext, test } from 'node:test'
import express from 'express'
import express4 from 'express4'
import { createGuard, type Scope, SubprocessError, SubprocessOptionError } from 'fastify-subprocess-guard'
import { ask } from './harness/client.js'
import { serve } from './harness/server.js'
import { shareKeeper } from './harness/shared-keeper.js'

shareKeeper()

interface HttpErrors {
  (error: unknown): unknown
  isHttpError(error: unknown): boolean
}

// Of Express, which brings it.
const httpErrors: HttpErrors = createRequire(createRequire(import.meta.url).resolve('express'))('http-errors')

interface Shown {
  readonly name: string
  readonly status: number
  readonly expose: boolean
  statusCode: number
}

/** What a call throws, or rejects with. */
async function errorOf(call: () => unknown): Promise<Shown> {
  try {
    await call()
  } catch (error) {
    return error as Shown
  }
  return assert.fail('it did not fail')
}

async function openScope(t: TestContext): Promise<Scope> {
  const guard = await createGuard()
  t.after(() => guard.close())
  return guard.open()
}

/** As the exception filter of NestJS tells an answer from an unknown error. */
const isAnswer = ({ statusCode, status, expose }: Shown): boolean =>
  typeof expose === 'boolean' && typeof statusCode === 'number' && status === statusCode

suite('an error of the guard is one of http-errors', () => {
  const failures: Record<string, [(scope: Scope) => unknown, object]> = {
    'with 503 when the scope is closed': [
      async (scope) => {
        await scope.close('deadline')
        scope.spawn('true')
      },
      { name: 'SubprocessError', statusCode: 503, status: 503, expose: false }
    ],
    'with 499 when the client is gone': [
      async (scope) => {
        await scope.close('disconnected')
        scope.spawn('true')
      },
      { name: 'SubprocessError', statusCode: 499, status: 499, expose: true }
    ],
    'with 500 for a wrong option': [
      (scope) => scope.spawn('true', { timeout: -1 }),
      { name: 'SubprocessOptionError', statusCode: 500, status: 500, expose: false }
    ],
    'with 502 when the command of a stream fails': [
      (scope) => scope.stream('false').ready,
      { name: 'SubprocessError', statusCode: 502, status: 502, expose: false }
    ],
    'with the status that a route has chosen': [
      (scope) => scope.stream('false', { statusCode: 422 }).ready,
      { name: 'SubprocessError', statusCode: 422, status: 422, expose: true }
    ]
  }
  for (const [law, [fail, expected]] of Object.entries(failures)) {
    test(law, async (t) => {
      const scope = await openScope(t)
      const error = await errorOf(() => fail(scope))
      const { name, statusCode, status, expose } = error
      assert.deepEqual({ name, statusCode, status, expose }, expected)
      assert.ok(isAnswer(error))
      assert.ok(httpErrors.isHttpError(error))
    })
  }

  test('and may be given another status', async (t) => {
    const scope = await openScope(t)
    await scope.close('deadline')
    const error = await errorOf(() => scope.spawn('true'))
    error.statusCode = 404
    assert.deepEqual([error.status, error.expose], [404, true])
    Object.assign(error, { status: 500 })
    assert.deepEqual([error.statusCode, error.expose], [500, false])
    // It writes to all three.
    assert.equal(httpErrors(error), error)
    assert.deepEqual([error.status, error.statusCode, error.expose], [500, 500, false])
    assert.ok(error instanceof SubprocessError && !(error instanceof SubprocessOptionError))
  })
})

suite('a command that fails tells the client nothing of its command line and of what it has said', () => {
  const script = 'echo secret-output; echo secret-error >&2; exit 3'
  const env = { ...process.env, KEY: 'secret-key' }
  const failures: Record<string, (scope: Scope) => Promise<unknown>> = {
    execFile: (scope) => scope.execFile('sh', ['-c', script, 'secret-argument'], { env }),
    exec: (scope) => scope.exec(script, { env }),
    signal: (scope) => scope.exec(`: secret-argument; kill -KILL $$`),
    maxBuffer: (scope) => scope.exec(script, { maxBuffer: 4 }),
    start: (scope) => scope.execFile('/no/such/program', ['secret-argument'], { env }),
    abort: (scope) => scope.exec(`sleep 1000; : secret`, { signal: AbortSignal.abort('secret') })
  }

  test('through the error handler of Fastify', async (t) => {
    const served = await serve({}, (app) => {
      for (const [name, fail] of Object.entries(failures)) {
        app.get(`/${name}`, (request) => fail(request.subprocesses))
      }
    })
    t.after(() => served.close())
    for (const name of Object.keys(failures)) {
      const { status, body } = await ask(served.port, `/${name}`).answer
      assert.equal(status, 500)
      assert.doesNotMatch(body, /secret/, name)
    }
    const { body } = await ask(served.port, '/execFile').answer
    assert.equal(JSON.parse(body).message, 'Command failed: sh: status 3')
    // The log has all of it.
    const line = served.log.find(({ err }) => (err as { cmd?: string })?.cmd?.includes('secret-argument'))
    assert.equal((line?.err as { stderr?: string } | undefined)?.stderr, 'secret-error\n')
  })

  for (const [version, framework] of [
    [5, express],
    [4, express4]
  ] as const) {
    test(`through the error handler of Express ${version}, which sends the stack`, async (t) => {
      const guard = await createGuard()
      t.after(() => guard.close())
      const app = framework().set('env', 'test')
      for (const [name, fail] of Object.entries(failures)) {
        app.get(`/${name}`, (_request, _response, next) => {
          fail(guard.open()).then(next, next)
        })
      }
      const server = createServer(app).listen(0, '127.0.0.1')
      t.after(() => server.close())
      await new Promise((resolve) => server.once('listening', resolve))
      const { port } = server.address() as AddressInfo
      for (const name of Object.keys(failures)) {
        const { status, body } = await ask(port, `/${name}`).answer
        assert.equal(status, 500)
        assert.match(body, /Error/)
        assert.doesNotMatch(body, /secret/, name)
      }
    })
  }
})
