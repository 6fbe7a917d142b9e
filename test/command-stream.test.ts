/** A command as a stream: a response is complete, an error, or visibly cut off, never silently truncated. */

import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import type { Socket } from 'node:net'
import { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { finished, pipeline } from 'node:stream/promises'
import { suite, type TestContext, test } from 'node:test'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type {
  CommandFailure,
  CommandStream,
  StreamOptions,
  SubprocessError,
  SubprocessGuardOptions
} from 'fastify-subprocess-guard'
import { ask } from './harness/client.js'
import { distantMs, passDeadlines } from './harness/deadlines.js'
import { assertClean, assertGone, assertOneLine, eventually } from './harness/expectations.js'
import { commandOf, Guarded } from './harness/guarded.js'
import { type Served, serve } from './harness/server.js'
import { shareKeeper } from './harness/shared-keeper.js'

shareKeeper()

async function serveStreams(
  t: TestContext,
  routes: (app: FastifyInstance, served: Served) => void,
  guard: SubprocessGuardOptions = {}
): Promise<Served> {
  const served = await serve({ guard }, routes)
  t.after(() => served.close())
  return served
}

/** Streams a shell command. What is written to the stream is its standard input. */
function shell(request: FastifyRequest, line: string, options: StreamOptions = {}): CommandStream {
  return request.subprocesses.stream('sh', ['-c', line], options)
}

function runProgram(request: FastifyRequest, served: Served, name: string): CommandStream {
  return request.subprocesses.stream(...commandOf(name), { env: served.witness.env })
}

suite('a response that is the output of a command', () => {
  test('is complete when the command succeeds', async (t) => {
    const bytes = 5_000_000
    const served = await serveStreams(t, (app) => {
      app.get('/', async (request) => shell(request, `yes 0123456 | head -c ${bytes}`))
    })
    const { status, body, isCut } = await ask(served.port, '/').answer
    assert.deepEqual({ status, bytes: body.length, isCut }, { status: 200, bytes, isCut: false })
    const expected = '0123456\n'.repeat(bytes / 8)
    assert.equal(
      createHash('sha1').update(body).digest('hex'),
      createHash('sha1').update(expected).digest('hex')
    )
    await assertClean(served)
  })

  test('is empty when the command succeeds without output', async (t) => {
    const served = await serveStreams(t, (app) => {
      app.get('/', async (request) => shell(request, 'exit 0'))
    })
    const { status, body, isCut } = await ask(served.port, '/').answer
    assert.deepEqual({ status, body, isCut }, { status: 200, body: '', isCut: false })
    await assertClean(served)
  })

  const failures: Record<string, { stream: (request: FastifyRequest) => CommandStream; message: string }> = {
    'exits with a status other than 0': {
      stream: (request) => shell(request, 'exit 3'),
      message: 'A command failed: sh: status 3'
    },
    'is ended by a signal': {
      stream: (request) => shell(request, 'kill -KILL $$'),
      message: 'A command failed: sh: ended by SIGKILL'
    },
    'does not exist': {
      stream: (request) => request.subprocesses.stream('/no/such/program'),
      message: 'A command failed: /no/such/program: ENOENT'
    }
  }
  for (const [how, { stream, message }] of Object.entries(failures)) {
    test(`is 502 when the command ${how} before the first byte`, async (t) => {
      const served = await serveStreams(t, (app) => {
        app.get('/', async (request) => stream(request))
      })
      const { status, body, isCut } = await ask(served.port, '/').answer
      assert.deepEqual(
        { status, ...JSON.parse(body), isCut },
        {
          status: 502,
          statusCode: 502,
          code: 'ERR_SUBPROCESS_FAILED',
          error: 'Bad Gateway',
          message,
          isCut: false
        }
      )
      await assertClean(served)
    })
  }

  test('can be set by the error handler, which gets all details of the failure', async (t) => {
    let failure: CommandFailure | undefined
    const served = await serveStreams(t, (app) => {
      app.setErrorHandler<CommandFailure>((error, _request, reply) => {
        failure = error
        return reply.code(418).send('handled')
      })
      app.get('/', async (request) => shell(request, 'echo "last words" >&2; exit 3'))
    })
    const { status, body } = await ask(served.port, '/').answer
    assert.deepEqual([status, body], [418, 'handled'])
    assert.equal(failure?.exitCode, 3)
    assert.equal(failure?.signal, null)
    assert.equal(failure?.stderr, 'last words\n')
    assert.equal(failure?.cmd, 'sh -c echo "last words" >&2; exit 3')
  })

  test('hides arguments and standard error from the client', async (t) => {
    const script = 'echo secret-said >&2; : secret-argument; exit 1'
    const served = await serveStreams(t, (app) => {
      app.get('/args', async (request) =>
        shell(request, script, { env: { ...process.env, KEY: 'secret-key' } })
      )
      app.get('/shell', async (request) => request.subprocesses.stream(script, { shell: true }))
    })
    for (const path of ['/args', '/shell']) {
      const { status, body } = await ask(served.port, path).answer
      assert.equal(status, 502)
      assert.doesNotMatch(body, /secret/)
    }
  })

  test('of a failed command has the status that the route chose', async (t) => {
    const served = await serveStreams(t, (app) => {
      app.get('/', async (request) => shell(request, 'exit 1', { statusCode: 422 }))
      app.get('/invalid', async (request) => shell(request, 'exit 1', { statusCode: 200 }))
    })
    assert.equal((await ask(served.port, '/').answer).status, 422)
    const { status, body } = await ask(served.port, '/invalid').answer
    assert.equal(status, 500)
    assert.match(JSON.parse(body).message, /^options\.statusCode is 200: /)
  })

  test('is cut off when the command fails after the first byte', async (t) => {
    let stream: CommandStream | undefined
    const served = await serveStreams(t, (app) => {
      app.get('/', async (request) => {
        stream = shell(request, 'echo part; read line; exit 3')
        return stream
      })
    })
    const asked = ask(served.port, '/')
    await asked.begun
    stream?.write('\n')
    const { status, isCut } = await asked.answer
    assert.deepEqual({ status, isCut }, { status: 200, isCut: true })
    await assertClean(served)
  })

  test('is truncated but looks complete without stream()', async (t) => {
    const served = await serveStreams(t, (app) => {
      app.get('/', async (request) => request.spawn('sh', ['-c', 'echo part; exit 3']).stdout)
    })
    const { status, body, isCut } = await ask(served.port, '/').answer
    assert.deepEqual({ status, body, isCut }, { status: 200, body: 'part\n', isCut: false })
  })

  test('is 503 at a deadline before the first byte, and is cut off at one after it', async (t) => {
    const served = await serveStreams(
      t,
      (app, served) => {
        app.get('/silent', async (request) => runProgram(request, served, 'waits.sh'))
        app.get('/begun', async (request) => runProgram(request, served, 'streams-then-waits.sh'))
      },
      { timeout: distantMs }
    )
    const asked = ['/silent', '/begun'].map((path) => ask(served.port, path))
    await served.witness.present(2)
    await asked[1]?.begun
    await passDeadlines({ count: 2 })
    const [silent, begun] = await Promise.all(asked.map(({ answer }) => answer))
    assert.equal(silent?.status, 503)
    assert.equal(JSON.parse(silent?.body ?? '').code, 'ERR_SUBPROCESS_DEADLINE')
    assert.deepEqual([begun?.status, begun?.body, begun?.isCut], [200, 'start\n', true])
    await assertGone(served)
    await assertClean(served)
  })

  test('ends its command when the client disconnects', async (t) => {
    const served = await serveStreams(t, (app, served) => {
      app.get('/', async (request) => runProgram(request, served, 'chatty.sh'))
    })
    const asked = ask(served.port, '/')
    await asked.begun
    asked.leave()
    await assertGone(served)
    await eventually('its scope is closed', () => served.app.subprocessGuard.scopes().length === 0)
    await assertClean(served)
  })

  test('blocks the command while the client reads slowly, and buffers little', async (t) => {
    let stream: CommandStream | undefined
    let raw: { writableLength: number } | undefined
    const served = await serveStreams(t, (app, served) => {
      app.get('/', async (request, reply) => {
        raw = reply.raw
        stream = runProgram(request, served, 'chatty.sh')
        return stream
      })
    })
    const asked = ask(served.port, '/')
    const head = await asked.head
    head.pause()
    const output = stream?.child.stdout as Socket
    let unchangedChecks = 0
    let lastBytes = -1
    await eventually('the command is blocked', () => {
      unchangedChecks = output.bytesRead === lastBytes ? unchangedChecks + 1 : 0
      lastBytes = output.bytesRead
      return lastBytes > 0 && unchangedChecks === 20
    })
    const buffered = (stream?.readableLength ?? 0) + output.readableLength + (raw?.writableLength ?? 0)
    assert.ok(buffered <= 1_000_000, `${buffered} bytes`)
    // The command resumes with the reader.
    head.resume()
    await eventually('more output arrives', () => output.bytesRead > lastBytes + 5_000_000)
    asked.leave()
    await assertGone(served)
  })
})

suite('the input of a streamed command', () => {
  const type = 'application/octet-stream'
  const megabytes = Buffer.alloc(8_000_000, 'x')

  function addRoutes(app: FastifyInstance): void {
    app.addContentTypeParser(type, (_request, payload, done) => done(null, payload))
    app.post<{ Body: NodeJS.ReadableStream }>('/body', async (request) =>
      shell(request, 'cat', { input: request.body })
    )
    app.post('/raw', async (request) => shell(request, 'cat', { input: request.raw }))
    app.post('/part', async (request) => shell(request, 'head -c 5', { input: request.raw }))
    app.post('/fails', async (request) =>
      shell(request, 'head -c 5 >/dev/null; exit 4', { input: request.raw })
    )
    app.post('/piped', (request, reply) => {
      const stream = shell(request, 'head -c 5')
      reply.hijack()
      void pipeline(request.raw, stream, reply.raw)
    })
  }

  for (const path of ['/body', '/raw']) {
    test(`may be the request body (${path})`, async (t) => {
      const served = await serveStreams(t, addRoutes)
      const { status, body, isCut } = await ask(served.port, path, {
        body: megabytes,
        method: 'POST',
        headers: { 'content-type': type }
      }).answer
      assert.deepEqual([status, body.length, isCut], [200, megabytes.length, false])
      await assertClean(served)
    })
  }

  for (const path of ['/part', '/piped']) {
    test(`need not be read to its end (${path})`, async (t) => {
      const served = await serveStreams(t, addRoutes)
      const { status, body, isCut } = await ask(served.port, path, {
        body: megabytes,
        method: 'POST',
        headers: { 'content-type': type }
      }).answer
      assert.deepEqual([status, body, isCut], [200, 'xxxxx', false])
      await assertClean(served)
    })
  }

  test('does not hide the failure of a command that stopped reading it', async (t) => {
    const served = await serveStreams(t, addRoutes)
    const { status } = await ask(served.port, '/fails', {
      body: megabytes,
      method: 'POST',
      headers: { 'content-type': type }
    }).answer
    assert.equal(status, 502)
    await assertClean(served)
  })

  test('that is cut off never looks complete to the command', async (t) => {
    const served = await serveStreams(t, (app, served) => {
      addRoutes(app)
      app.post('/witnessed', async (request) => {
        return shell(
          request,
          'exec 9>"$WITNESS"; echo "alive $$ reads" >&9; cat >/dev/null; echo whole >&9',
          {
            input: request.raw,
            env: served.witness.env
          }
        )
      })
    })
    const asked = ask(served.port, '/witnessed', {
      body: 'part',
      method: 'POST',
      headers: { 'content-type': type, 'content-length': 100 }
    })
    await served.witness.present(1)
    asked.leave()
    await assertGone(served)
    assert.deepEqual(served.witness.said, [])
    await assertOneLineOrNone(served)
  })

  for (const [what, input] of Object.entries({
    'a string': 'words',
    bytes: Buffer.from('words'),
    'an iterable': (async function* () {
      yield 'wo'
      yield Buffer.from('rds')
    })()
  })) {
    test(`may be ${what}`, async (t) => {
      const served = await serveStreams(t, () => {})
      const output = await served.inRequest((request) => text(shell(request, 'cat', { input })))
      assert.equal(output, 'words')
    })
  }

  test('is what is written to the stream, without the option', async (t) => {
    const served = await serveStreams(t, () => {})
    const output = await served.inRequest((request) => {
      const stream = shell(request, 'cat')
      stream.write('wo')
      stream.end('rds')
      return text(stream)
    })
    assert.equal(output, 'words')
  })

  test('of an unsupported type is a TypeError', async (t) => {
    const served = await serveStreams(t, () => {})
    const attempt = served.inRequest(async (request) => shell(request, 'cat', { input: 5 as never }))
    await assert.rejects(attempt, (error) => error instanceof TypeError)
  })
})

suite('ready', () => {
  test('resolves at the first byte, and consumes no output', async (t) => {
    const served = await serveStreams(t, (app) => {
      app.get('/', async (request, reply) => {
        const stream = shell(request, 'echo first; read line; echo second')
        assert.equal(await stream.ready, stream)
        stream.end('\n')
        return reply.type('text/plain').send(stream)
      })
    })
    const { status, body } = await ask(served.port, '/').answer
    assert.deepEqual([status, body], [200, 'first\nsecond\n'])
  })

  test('resolves when the command succeeds without output', async (t) => {
    const served = await serveStreams(t, (app) => {
      app.get('/', async (request) => shell(request, 'exit 0').ready)
    })
    const { status, body } = await ask(served.port, '/').answer
    assert.deepEqual([status, body], [200, ''])
  })

  test('rejects when the command fails before the first byte, so that the route can still answer', async (t) => {
    const served = await serveStreams(t, (app) => {
      app.get('/', async (request, reply) => {
        const stream = shell(request, 'exit 3')
        stream.on('error', () => {})
        return stream.ready.catch((error: CommandFailure) => reply.code(404).send(`status ${error.exitCode}`))
      })
    })
    const { status, body } = await ask(served.port, '/').answer
    assert.deepEqual([status, body], [404, 'status 3'])
  })

  test('rejects when the stream is destroyed before the first byte', async (t) => {
    const served = await serveStreams(t, () => {})
    const error = await served.inRequest(async (request) => {
      const stream = shell(request, 'sleep 1000')
      stream.destroy()
      return stream.ready.catch((error: SubprocessError) => error)
    })
    assert.equal((error as SubprocessError).code, 'ERR_SUBPROCESS_FAILED')
  })
})

for (const launch of ['keeper', 'direct'] as const) {
  suite(`a stream without input closes when its command has exited, launch: ${launch}`, () => {
    const line = 'head -n 1; echo last'
    const expected = 'first\nlast\n'

    async function start(
      t: TestContext,
      command = line
    ): Promise<{ stream: CommandStream; guarded: Guarded }> {
      const guarded = await Guarded.start({ launch })
      t.after(() => guarded.close())
      const stream = guarded.guard.open({ timeout: false }).stream('sh', ['-c', command])
      t.after(() => assert.deepEqual(guarded.lines('its error was not handled'), []))
      return { stream, guarded }
    }

    /** A source that produces a line for each read until `end` is called. `reads` counts the reads. */
    function endlessSource(): { source: Readable; reads: () => number; end: () => void } {
      let lines = 0
      let hasEnded = false
      const source = new Readable({
        read() {
          lines++
          setImmediate(() => this.push(hasEnded ? null : 'first\n'))
        }
      })
      const end = (): void => {
        hasEnded = true
      }
      return { source, reads: () => lines, end }
    }

    test('for finished()', async (t) => {
      const { stream } = await start(t, 'echo last')
      stream.resume()
      await finished(stream)
    })

    test("for 'close'", async (t) => {
      const { stream } = await start(t, 'echo last')
      const output = text(stream)
      await new Promise<void>((resolve) => stream.once('close', resolve))
      assert.equal(await output, 'last\n')
    })

    test("for 'close' of a command without output", async (t) => {
      const { stream } = await start(t, 'exit 0')
      stream.resume()
      await new Promise<void>((resolve) => stream.once('close', resolve))
    })

    test('for Readable.toWeb()', async (t) => {
      const { stream } = await start(t, 'echo last')
      assert.equal(await new Response(Readable.toWeb(stream) as never).text(), 'last\n')
    })

    test('for pipeline() from it, and for `await using`', async (t) => {
      const { stream } = await start(t, 'echo last')
      let output = ''
      await pipeline(stream, async (chunks) => {
        for await (const chunk of chunks) output += chunk
      })
      assert.equal(output, 'last\n')
      await finished(stream)
    })

    test('while a source is piped into it, and discards the rest of the source', async (t) => {
      const { stream } = await start(t)
      const { source, reads, end } = endlessSource()
      source.pipe(stream)
      let output = ''
      stream.on('data', (chunk) => {
        output += chunk
      })
      await finished(stream)
      assert.equal(output, expected)
      const before = reads()
      await eventually('the source is still read', () => reads() > before + 100)
      const closed = new Promise<void>((resolve) => stream.once('close', resolve))
      end()
      await closed
    })

    test('for pipeline() through it, when the source has ended', async (t) => {
      const { stream } = await start(t)
      const { source, reads, end } = endlessSource()
      let output = ''
      const through = pipeline(source, stream, async (chunks) => {
        for await (const chunk of chunks) output += chunk
      })
      await finished(stream)
      const before = reads()
      await eventually('the source is still read', () => reads() > before + 100)
      end()
      await through
      assert.equal(output, expected)
    })

    test('and discards what is written afterwards', async (t) => {
      const { stream } = await start(t)
      stream.on('error', () => assert.fail("'error' was emitted"))
      stream.write('first\n')
      stream.resume()
      await finished(stream)
      assert.equal(stream.write('more'), true)
      await new Promise<void>((resolve, reject) => {
        stream.write('more', 'utf8', (error) => (error ? reject(error) : resolve()))
      })
      await new Promise<void>((resolve) => stream.end('rest', resolve))
    })

    test('once all of its output is read, and not before', async (t) => {
      const bytes = 300_000
      const { stream } = await start(t, `head -c ${bytes} /dev/zero`)
      const { child } = stream
      await stream.ready
      stream.read()
      let isClosed = false
      stream.once('close', () => {
        isClosed = true
      })
      stream.end()
      for (let turns = 0; turns < 100; turns++) await new Promise((resolve) => setImmediate(resolve))
      assert.equal(isClosed, false)
      stream.resume()
      await finished(stream)
      assert.equal(child.exitCode, 0)
    })
  })
}

test("a failure without an 'error' listener is logged, and the worker keeps running", async (t) => {
  const served = await serveStreams(t, (app) => {
    app.get('/', async (request) => {
      const stream = shell(request, 'exit 3')
      stream.resume()
      // Not events.once(), which would itself listen to 'error'.
      await new Promise<void>((resolve) => stream.once('close', resolve))
      return 'done'
    })
  })
  assert.equal((await ask(served.port, '/').answer).body, 'done')
  const line = served.log.find(({ msg }) => msg.includes('its error was not handled'))
  assert.equal(line?.level, 50)
  assert.equal(line?.command, 'sh')
  await assertClean(served)
})

test('stream() in a closed scope throws an error with the close reason', async (t) => {
  const served = await serveStreams(t, () => {})
  await served.inRequest(async (request) => {
    const scope = request.subprocesses
    await scope.close('failed')
    assert.throws(() => scope.stream('true'), { reason: 'failed', code: 'ERR_SUBPROCESS_SCOPE_CLOSED' })
  })
})

/** Allows for no line: the command may have ended with its stream, before its scope closed. */
async function assertOneLineOrNone(served: Served): Promise<void> {
  await eventually('its scope is closed', () => served.app.subprocessGuard.scopes().length === 0)
  if (served.scopeLines.length > 0) await assertOneLine(served, 'disconnected')
}
