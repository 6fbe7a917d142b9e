/**
 * A response that is cut short may get a last word, and never looks complete to the client (docs/faults.md,
 * 53, 60, 84).
 */

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { Agent, createServer, request, type ServerResponse } from 'node:http'
import http2 from 'node:http2'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { suite, type TestContext, test } from 'node:test'
import { connect as connectTls } from 'node:tls'
import express from 'express'
import express4 from 'express4'
import type { Scope } from 'fastify-subprocess-guard'
import { ask } from './harness/client.js'
import { distantMs, passDeadlines } from './harness/deadlines.js'
import { assertClean, eventually } from './harness/expectations.js'
import { ExpressServed } from './harness/express-server.js'
import { Served } from './harness/server.js'
import { shareKeeper } from './harness/shared-keeper.js'

shareKeeper()

type Server = Served | ExpressServed
/** Writes to Node's own response. */
type Write = (response: ServerResponse, scope: Scope) => void

const frameworks: Record<string, (write: Write, options?: object) => Promise<Server>> = {
  Fastify: (write, server = {}) =>
    new Served({ guard: { timeout: distantMs }, server }).start((app) => {
      app.get('/', (request, reply) => {
        reply.hijack()
        write(reply.raw, request.subprocesses)
      })
    }),
  Express: (write) =>
    new ExpressServed(express, { guard: { timeout: distantMs } }).start((served) => {
      served.app.get('/', (req, res) => write(res, req.subprocesses))
    })
}

/**
 * Streams the output of a command that never ends, and writes a last event when the scope's signal aborts.
 */
function streamEvents(writeLast: (response: ServerResponse) => void): Write {
  return (response, scope) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    const child = scope.spawn('sh', ['-c', 'echo data: first; exec sleep 1000'])
    child.stdout.on('data', (chunk) => response.write(chunk))
    // Like many handlers, this one ends the response when the command exits.
    child.on('exit', () => response.end())
    scope.signal.addEventListener('abort', () => writeLast(response))
  }
}

const lastWords: Record<string, (response: ServerResponse) => void> = {
  'write()': (response) => void response.write('data: last\n'),
  'write() in a promise': (response) => void Promise.resolve().then(() => response.write('data: last\n')),
  'end()': (response) => void response.end('data: last\n')
}

for (const [framework, start] of Object.entries(frameworks)) {
  for (const [way, writeLast] of Object.entries(lastWords)) {
    test(`${framework}: a last word by ${way} in a listener of the signal arrives before the cut at the deadline`, async (t) => {
      const served = await start(streamEvents(writeLast))
      t.after(() => served.close())
      const asked = ask(served.port, '/')
      await asked.begun
      await passDeadlines()
      const { body, isCut } = await asked.answer
      assert.equal(body, 'data: first\ndata: last\n')
      // A response that the handler itself ends is complete.
      assert.equal(isCut, way !== 'end()')
      await assertClean(served)
    })
  }
}

test('HTTP/2: a last word in a listener of the signal arrives before the stream is reset', async (t) => {
  const write = streamEvents((response) => void response.write('data: last\n'))
  const served = await (frameworks.Fastify as (write: Write, options: object) => Promise<Server>)(write, {
    http2: true
  })
  const session = http2.connect(`http://127.0.0.1:${served.port}`)
  t.after(async () => {
    session.destroy()
    await served.close()
  })
  const stream = session.request({ ':path': '/' })
  let body = ''
  stream.setEncoding('utf8').on('data', (text) => {
    body += text
  })
  await once(stream, 'data')
  await passDeadlines()
  await assert.rejects(once(stream, 'end'), { code: 'ERR_HTTP2_STREAM_ERROR' })
  assert.equal(body, 'data: first\ndata: last\n')
})

suite('a response that ends with its connection', () => {
  const endless = ['-c', 'echo begun; exec sleep 1000']
  const failing = ['-c', 'echo begun; read line; exit 1']
  let proceed = (): void => {}

  /** Responds with the output of a shell script, which reads a line when `proceed()` is called. */
  function stream(response: ServerResponse, scope: Scope, args: string[]): void {
    const output = scope.stream('sh', args)
    proceed = () => output.write('go on\n')
    // Otherwise an HTTP/1.1 response would be chunked.
    response.removeHeader('transfer-encoding')
    response.writeHead(200)
    pipeline(output, response).catch(() => {})
  }

  const heads = { 'HTTP/1.0': 'GET / HTTP/1.0\r\n\r\n', 'HTTP/1.1': 'GET / HTTP/1.1\r\nHost: a\r\n\r\n' }
  for (const [framework, start] of Object.entries(frameworks)) {
    for (const [protocol, head] of Object.entries(heads)) {
      test(`${framework}, ${protocol}: is reset at the deadline`, async (t) => {
        const served = await start((response, scope) => stream(response, scope, endless))
        t.after(() => served.close())
        const client = askWith(head, t, connect(served.port, '127.0.0.1'))
        await assertReset(client, () => passDeadlines())
        await assertClean(served)
      })

      test(`${framework}, ${protocol}: is reset when its command fails`, async (t) => {
        const served = await start((response, scope) => stream(response, scope, failing))
        t.after(() => served.close())
        const client = askWith(head, t, connect(served.port, '127.0.0.1'))
        await assertReset(client, () => proceed())
        await assertClean(served)
      })
    }
  }

  test('Fastify: is reset when the returned stream fails', async (t) => {
    const served = await new Served({}).start((app) => {
      app.get('/', async (request) => {
        const output = request.subprocesses.stream('sh', failing)
        proceed = () => output.write('go on\n')
        return output
      })
    })
    t.after(() => served.close())
    const client = askWith(heads['HTTP/1.0'], t, connect(served.port, '127.0.0.1'))
    await assertReset(client, () => proceed())
  })

  test('is reset over TLS too', async (t) => {
    const write: Write = (response, scope) => stream(response, scope, endless)
    const served = await (frameworks.Fastify as (write: Write, options: object) => Promise<Server>)(write, {
      https: certificate(t)
    })
    t.after(() => served.close())
    const client = askWith(heads['HTTP/1.0'], t, connectTls({ port: served.port, rejectUnauthorized: false }))
    await assertReset(client, () => passDeadlines())
  })

  test('looks complete when its socket is only destroyed: the negative control', async (t) => {
    const server = createServer((_request, response) => {
      response.writeHead(200)
      response.write('begun', () => response.destroy())
    })
    t.after(() => server.close())
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const client = askWith(
      heads['HTTP/1.0'],
      t,
      connect((server.address() as { port: number }).port, '127.0.0.1')
    )
    client.resume()
    await once(client, 'end')
  })
})

/** Asserts that the connection is reset, not ended, by `act` after the response has begun. */
async function assertReset(client: Socket, act: () => unknown): Promise<void> {
  await once(client, 'data')
  const cut = assert.rejects(once(client, 'end'), { code: 'ECONNRESET' })
  await act()
  await cut
}

function askWith<Client extends Socket>(head: string, t: TestContext, client: Client): Client {
  t.after(() => client.destroy())
  client.on('error', () => {})
  client.write(head)
  return client
}

function certificate(t: TestContext): { key: Buffer; cert: Buffer } {
  const folder = mkdtempSync(join(tmpdir(), 'certificate-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')]
  const args = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=localhost']
  execFileSync('openssl', [...args, '-keyout', key, '-out', cert], { stdio: 'ignore' })
  return { key: readFileSync(key), cert: readFileSync(cert) }
}

for (const [version, framework] of [
  ['4', express4],
  ['5', express]
] as const) {
  suite(`Express ${version}: a handler that continues after its deadline`, () => {
    /** A route whose handler does `act` with its response when `proceed()` is called. */
    async function serveLate(
      t: TestContext,
      act: (response: express.Response, next: (e: Error) => void) => void
    ) {
      let proceed = (): void => {}
      const inputs: PassThrough[] = []
      const served = await new ExpressServed(framework, { guard: { timeout: distantMs } }).start(
        ({ app }) => {
          app.get('/late', (_req, res, next) => {
            proceed = () => act(res, next)
          })
          app.get('/slow', (req, res) => {
            const input = new PassThrough()
            inputs.push(input)
            req.subprocesses.execFile('cat', [], { input }).then(({ stdout }) => res.send(stdout))
          })
        }
      )
      t.after(() => served.close())
      return { served, inputs, proceed: () => proceed() }
    }

    const acts: Record<string, (response: express.Response, next: (e: Error) => void) => void> = {
      'res.json()': (res) => void res.status(200).json({ late: true }),
      'res.send()': (res) => void res.set('x-late', 'yes').send('late'),
      'res.redirect()': (res) => void res.redirect('/elsewhere'),
      'res.writeHead()': (res) => void res.writeHead(200).end('late'),
      'res.sendFile()': (res, next) => void res.sendFile('/etc/hostname', (error) => error && next(error)),
      'next(error)': (_res, next) => next(new Error('late')),
      'res.destroy()': (res) => void res.destroy()
    }
    for (const [name, act] of Object.entries(acts)) {
      test(`${name} does not throw and does not end the next request on its connection`, async (t) => {
        const { served, inputs, proceed } = await serveLate(t, act)
        const agent = new Agent({ keepAlive: true, maxSockets: 1 })
        t.after(() => agent.destroy())
        const late = askThrough(agent, served.port, '/late')
        await passDeadlines()
        const first = await late
        assert.deepEqual([first.status, first.body.includes('ERR_SUBPROCESS_DEADLINE')], [503, true])
        const slow = askThrough(agent, served.port, '/slow')
        await eventually('the next request has arrived', () => inputs.length === 1)
        proceed()
        inputs[0]?.end('slow')
        assert.deepEqual(await slow, { status: 200, body: 'slow', port: first.port })
        await assertClean(served)
      })
    }
  })
}

/** Sends a request through the agent. Resolves to the response and the local port of its connection. */
async function askThrough(agent: Agent, port: number, path: string) {
  const sent = request({ port, path, agent }).end()
  const [response] = await once(sent, 'response')
  let body = ''
  for await (const chunk of response) body += chunk
  return { status: response.statusCode as number, body, port: sent.socket?.localPort }
}
