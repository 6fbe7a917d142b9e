/**
 * How frameworks handle errors of the guard and of failed commands: with the right status, and without
 * revealing the command to the client (faults 86 and 89 in docs/faults.md).
 */

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

// The copy that Express depends on.
const httpErrors: HttpErrors = createRequire(createRequire(import.meta.url).resolve('express'))('http-errors')

interface HttpError {
  readonly name: string
  readonly status: number
  readonly expose: boolean
  statusCode: number
}

/** Resolves with the error that a call throws or rejects with. */
async function errorOf(call: () => unknown): Promise<HttpError> {
  try {
    await call()
  } catch (error) {
    return error as HttpError
  }
  return assert.fail('it did not fail')
}

async function openScope(t: TestContext): Promise<Scope> {
  const guard = await createGuard()
  t.after(() => guard.close())
  return guard.open()
}

/** The check with which the exception filter of NestJS recognises HTTP errors. */
const isHttpErrorForNest = ({ statusCode, status, expose }: HttpError): boolean =>
  typeof expose === 'boolean' && typeof statusCode === 'number' && status === statusCode

suite('an error of the guard is an HTTP error as of http-errors', () => {
  const failures: Record<string, [(scope: Scope) => unknown, object]> = {
    'with 503 when the scope is closed': [
      async (scope) => {
        await scope.close('deadline')
        scope.spawn('true')
      },
      { name: 'SubprocessError', statusCode: 503, status: 503, expose: false }
    ],
    'with 499 when the client has disconnected': [
      async (scope) => {
        await scope.close('disconnected')
        scope.spawn('true')
      },
      { name: 'SubprocessError', statusCode: 499, status: 499, expose: true }
    ],
    'with 500 for an invalid option': [
      (scope) => scope.spawn('true', { timeout: -1 }),
      { name: 'SubprocessOptionError', statusCode: 500, status: 500, expose: false }
    ],
    'with 502 when the command of a stream fails': [
      (scope) => scope.stream('false').ready,
      { name: 'SubprocessError', statusCode: 502, status: 502, expose: false }
    ],
    'with the status that the route chose': [
      (scope) => scope.stream('false', { statusCode: 422 }).ready,
      { name: 'SubprocessError', statusCode: 422, status: 422, expose: true }
    ]
  }
  for (const [title, [fail, expected]] of Object.entries(failures)) {
    test(title, async (t) => {
      const scope = await openScope(t)
      const error = await errorOf(() => fail(scope))
      const { name, statusCode, status, expose } = error
      assert.deepEqual({ name, statusCode, status, expose }, expected)
      assert.ok(isHttpErrorForNest(error))
      assert.ok(httpErrors.isHttpError(error))
    })
  }

  test('whose status can be changed', async (t) => {
    const scope = await openScope(t)
    await scope.close('deadline')
    const error = await errorOf(() => scope.spawn('true'))
    error.statusCode = 404
    assert.deepEqual([error.status, error.expose], [404, true])
    Object.assign(error, { status: 500 })
    assert.deepEqual([error.statusCode, error.expose], [500, false])
    // createError() of http-errors assigns all three.
    assert.equal(httpErrors(error), error)
    assert.deepEqual([error.status, error.statusCode, error.expose], [500, 500, false])
    assert.ok(error instanceof SubprocessError && !(error instanceof SubprocessOptionError))
  })
})

suite('a failed command reveals neither its command line nor its output to the client', () => {
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
    // The log has everything.
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
