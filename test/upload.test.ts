/**
 * A client that disconnects during an unread upload is noticed, and back-pressure still works
 * (docs/faults.md, 88).
 */

import assert from 'node:assert/strict'
import { createHash, randomBytes, randomInt } from 'node:crypto'
import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import http2 from 'node:http2'
import { createServer } from 'node:https'
import { connect, type Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import { suite, type TestContext, test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { connect as connectTls, type TlsOptions } from 'node:tls'
import { subprocessGuard } from 'fastify-subprocess-guard/express'
import { distantMs } from './harness/deadlines.js'
import { assertClean, assertGone, assertLeft, assertOneLine, eventually } from './harness/expectations.js'
import { kinds } from './harness/kinds.js'
import type { GuardedRequest, Served } from './harness/served.js'
import { Served as FastifyServed, serve } from './harness/server.js'
import { shareKeeper } from './harness/shared-keeper.js'

shareKeeper()

const mebibyte = 2 ** 20
/** The documented size up to which a disconnect is noticed. */
const noticedBytes = 8_000_000
const perRequestBytes = 8 * mebibyte
const perWorkerBytes = 64 * mebibyte
/** A single read may exceed a limit by this much. */
const readBytes = 64 * 1024
const type = 'application/octet-stream'
const never = (): Promise<never> => new Promise(() => {})

/** Makes Fastify pass the body to handlers as a stream. Express does so anyway. */
function acceptStreams(served: Served): void {
  if (!(served instanceof FastifyServed)) return
  served.app.addContentTypeParser(type, (_request, body, done) => done(null, body))
}

/** Pipes the body of the request to the standard input of a command that never reads it. */
function pipeToNonReader(served: Served, request: GuardedRequest): void {
  const child = served.run(request, 'waits.sh', [], { stdio: ['pipe', 'ignore', 'ignore'] })
  child.stdin?.on('error', () => {})
  request.raw.pipe(child.stdin as NodeJS.WritableStream)
}

interface Upload {
  readonly path?: string
  readonly socket?: Socket
  /** The content-length, in bytes. Default: the length of the body. */
  readonly length?: number
}

/** Sends a request and as much of its body as the server accepts. */
function upload(port: number, body: Buffer, { path = '/upload', length, socket }: Upload = {}): Socket {
  const connection = socket ?? connect(port, '127.0.0.1')
  connection.on('error', () => {})
  const head = [
    `POST ${path} HTTP/1.1`,
    'host: test',
    `content-type: ${type}`,
    `content-length: ${length ?? body.length}`
  ]
  connection.write(`${head.join('\r\n')}\r\n\r\n`)
  connection.write(body)
  return connection
}

/** Whether the server has stopped reading, or has read everything. */
function isHeldBack({ complete, readableLength }: IncomingMessage): boolean {
  return complete || readableLength >= perRequestBytes - mebibyte
}

/**
 * Records the maximum number of bytes that a request has buffered. Call it when the scope of the request is
 * open.
 */
function watchBuffer(raw: IncomingMessage): { mostBytes: number } {
  const most = { mostBytes: 0 }
  const { push } = raw
  raw.push = (chunk, encoding) => {
    const isBelowLimit = push.call(raw, chunk, encoding)
    most.mostBytes = Math.max(most.mostBytes, raw.readableLength)
    return isBelowLimit
  }
  return most
}

for (const kind of kinds) {
  suite(`${kind.name}: a client that disconnects`, () => {
    for (const bytes of [100_000, 2 * mebibyte, noticedBytes]) {
      test(`during an unread upload of ${bytes} bytes leaves nothing, even without a deadline`, async (t) => {
        let raw: IncomingMessage | undefined
        const served = await kind.serve({ guard: { timeout: false } }, (served) => {
          acceptStreams(served)
          served.route('POST', '/upload', async (request) => {
            pipeToNonReader(served, request)
            raw = request.raw
            await never()
          })
        })
        t.after(() => served.close())
        const client = upload(served.port, Buffer.alloc(bytes))
        await served.witness.present(1)
        const limit = Math.min(bytes / 2, raw?.readableHighWaterMark ?? 0)
        await eventually(
          'the upload is held back',
          () => (raw?.complete || (raw?.readableLength ?? 0) >= limit) ?? false
        )
        client.destroy()
        await assertGone(served)
        await assertOneLine(served, 'disconnected')
        await assertClean(served)
      })
    }

    test('when its upload was held back before the first spawn leaves nothing', async (t) => {
      let raw: IncomingMessage | undefined
      let start: (() => void) | undefined
      const served = await kind.serve({ guard: { timeout: false } }, (served) => {
        acceptStreams(served)
        served.route('POST', '/upload', async (request) => {
          raw = request.raw
          await new Promise<void>((resolve) => {
            start = resolve
          })
          pipeToNonReader(served, request)
          await never()
        })
      })
      t.after(() => served.close())
      const client = upload(served.port, Buffer.alloc(2 * mebibyte))
      await eventually(
        'Node holds the upload back',
        () => (raw?.readableLength ?? 0) >= (raw?.readableHighWaterMark ?? 1)
      )
      start?.()
      await served.witness.present(1)
      client.destroy()
      await assertGone(served)
      await assertOneLine(served, 'disconnected')
      await assertClean(served)
    })
  })
}

suite('without the guard', () => {
  test('a client that disconnects during an unread upload is not noticed', async (t) => {
    let raw: IncomingMessage | undefined
    const served = await serve({ guard: false }, (app, served) => {
      acceptStreams(served)
      app.post('/upload', async (request) => {
        pipeToNonReader(served, request)
        raw = request.raw
        await never()
      })
    })
    t.after(() => served.close())
    const client = upload(served.port, Buffer.alloc(2 * mebibyte))
    await served.witness.present(1)
    client.destroy()
    await assertLeft(served, 1)
    assert.equal(raw?.destroyed, false)
  })
})

suite('a client that disconnects', () => {
  test('during an unread upload over TLS leaves nothing', async (t) => {
    // Anonymous ciphers need no certificate.
    const anonymous: TlsOptions = { ciphers: 'aNULL:@SECLEVEL=0', maxVersion: 'TLSv1.2' }
    const guard = subprocessGuard({ timeout: false, grace: 300 })
    const witnessServer = await serve({}, () => {})
    let raw: IncomingMessage | undefined
    const server = createServer(anonymous, (req, res) => {
      guard(req, res, () => {
        pipeToNonReader(witnessServer, { raw: req, ...guardMethods(req as never) })
        raw = req
      })
    }).listen(0, '127.0.0.1')
    t.after(async () => {
      server.close()
      await guard.close()
      await witnessServer.close()
    })
    await once(server, 'listening')
    const { port } = server.address() as { port: number }
    const socket = connectTls({ ...anonymous, port, host: '127.0.0.1', rejectUnauthorized: false } as never)
    await once(socket, 'secureConnect')
    upload(port, Buffer.alloc(2 * mebibyte), { socket })
    await witnessServer.witness.present(1)
    await eventually(
      'the upload is held back',
      () => (raw?.complete || (raw?.readableLength ?? 0) > 0) ?? false
    )
    socket.destroy()
    await assertGone(witnessServer)
  })

  test('during an unread upload over HTTP/2 leaves nothing, whatever the size of the upload', async (t) => {
    const served = await serve({ guard: { timeout: false }, server: { http2: true } }, (app, served) => {
      acceptStreams(served)
      app.post('/upload', async (request) => {
        pipeToNonReader(served, request)
        await never()
      })
    })
    t.after(() => served.close())
    const session = http2.connect(`http://127.0.0.1:${served.port}`)
    session.on('error', () => {})
    const stream = session.request({ ':method': 'POST', ':path': '/upload', 'content-type': type })
    stream.on('error', () => {})
    stream.write(Buffer.alloc(20_000_000))
    await served.witness.present(1)
    session.destroy()
    await assertGone(served)
    await assertOneLine(served, 'disconnected')
  })
})

/** Different ways for a handler to read a body to its end. */
const readings: Record<string, (raw: IncomingMessage, hash: (chunk: Buffer) => void) => Promise<void>> = {
  'by for await': async (raw, hash) => {
    for await (const chunk of raw) {
      hash(chunk)
      await turn()
    }
  },
  "by 'data', with pauses": async (raw, hash) => {
    raw.on('data', (chunk) => {
      hash(chunk)
      if (randomInt(4) > 0) return
      raw.pause()
      setImmediate(() => raw.resume())
    })
    await once(raw, 'end')
  },
  'by read(n)': async (raw, hash) => {
    while (!raw.readableEnded) {
      const chunk = raw.read(Math.min(randomInt(1, 200_000), raw.readableLength || 1))
      if (chunk !== null) hash(chunk)
      await turn()
    }
  },
  "by 'readable', with unshift()": async (raw, hash) => {
    raw.on('readable', () => {
      for (let chunk = raw.read(); chunk !== null; chunk = raw.read()) {
        const kept = Math.min(chunk.length, randomInt(1, 300_000))
        hash(chunk.subarray(0, kept))
        if (kept < chunk.length) raw.unshift(chunk.subarray(kept))
      }
    })
    await once(raw, 'end')
  }
}

suite('a body that is read late and slowly', () => {
  for (const [method, read] of Object.entries(readings)) {
    for (const coding of ['with its length', 'in chunks'] as const) {
      test(`${method}, sent ${coding}, arrives unchanged, and at most 8 MiB of it are buffered`, async (t) => {
        let most = { mostBytes: 0 }
        const served = await serve({ guard: { timeout: distantMs } }, (app, served) => {
          acceptStreams(served)
          app.post('/upload', async (request) => {
            request.spawn('sleep', ['1000'])
            const { raw } = request
            most = watchBuffer(raw)
            await eventually('the body is held back', () => isHeldBack(raw))
            const hash = createHash('sha256')
            await read(raw, (chunk) => hash.update(chunk))
            return hash.digest('hex')
          })
        })
        t.after(() => served.close())
        const body = randomBytes(12 * mebibyte + randomInt(mebibyte))
        const client = connect(served.port, '127.0.0.1')
        const length =
          coding === 'in chunks' ? 'transfer-encoding: chunked' : `content-length: ${body.length}`
        client.write(
          `POST /upload HTTP/1.1\r\nhost: test\r\nconnection: close\r\ncontent-type: ${type}\r\n${length}\r\n\r\n`
        )
        for (let sent = 0; sent < body.length; ) {
          const part = body.subarray(sent, sent + randomInt(1, 500_000))
          sent += part.length
          if (coding === 'in chunks') client.write(`${part.length.toString(16)}\r\n`)
          client.write(part)
          if (coding === 'in chunks') client.write('\r\n')
        }
        if (coding === 'in chunks') client.write('0\r\n\r\n')
        const answer = await text(client)
        assert.equal(answer.slice(-64), createHash('sha256').update(body).digest('hex'))
        const { mostBytes } = most
        assert.ok(mostBytes > mebibyte, `${mostBytes} bytes: nothing was read ahead`)
        // Node's own limit and the read that exceeds it are added.
        assert.ok(mostBytes <= perRequestBytes + 3 * readBytes, `${mostBytes} bytes`)
        await assertClean(served)
      })
    }
  }

  test('passes through a command unchanged', async (t) => {
    const served = await serve({ guard: { timeout: distantMs } }, (app, served) => {
      acceptStreams(served)
      app.post('/upload', async (request) => {
        const wait = 'for i in 1 2 3 4 5; do head -c 1000000; sleep 0.05; done | cat; exec cat'
        return request.subprocesses.stream('sh', ['-c', wait], { input: request.body as never })
      })
    })
    t.after(() => served.close())
    const body = randomBytes(12 * mebibyte)
    const answer = await fetch(`http://127.0.0.1:${served.port}/upload`, {
      method: 'POST',
      body,
      headers: { 'content-type': type }
    })
    assert.ok(body.equals(Buffer.from(await answer.arrayBuffer())))
    await assertClean(served)
  })
})

suite('unread uploads', () => {
  /** A server that does not read what is uploaded to it, and the requests that it has received. */
  async function serveUnread(t: TestContext) {
    const held: IncomingMessage[] = []
    const served = await serve({ guard: { timeout: false } }, (app, served) => {
      acceptStreams(served)
      app.post('/upload', async (request) => {
        request.spawn('sleep', ['1000'])
        held.push(request.raw)
        await never()
      })
    })
    t.after(() => served.close())
    return { served, held }
  }

  test('take at most 64 MiB of a worker, and waiting ones get their turn when others end', async (t) => {
    const { served, held } = await serveUnread(t)
    const bytes = 7 * mebibyte
    const clients = Array.from({ length: 15 }, () => upload(served.port, Buffer.alloc(bytes)))
    const readAhead = (): IncomingMessage[] => held.filter(({ complete }) => complete)
    await eventually('all requests have arrived', () => held.length === clients.length)
    await eventually('eight uploads are read ahead', () => readAhead().length === 8)
    // Nothing more is read, even after many turns of the event loop.
    for (let i = 0; i < 100; i++) await turn()
    const sum = held.reduce((sum, { readableLength }) => sum + readableLength, 0)
    assert.ok(sum <= perWorkerBytes + clients.length * 2 * readBytes, `${sum} bytes`)
    const first = readAhead().map(({ socket }) => socket.remotePort)
    for (const client of clients.filter(({ localPort }) => first.includes(localPort))) client.destroy()
    await eventually('the waiting uploads are read ahead', () => readAhead().length === clients.length)
    for (const client of clients) client.destroy()
    await eventually('all scopes are closed', () => served.guard.scopes().length === 0)
    await assertClean(served)
  })

  test('return their share of the limit, however they end', async (t) => {
    const { served, held } = await serveUnread(t)
    for (let i = 0; i < 12; i++) {
      const client = upload(served.port, Buffer.alloc(7 * mebibyte), { length: (7 + (i % 3)) * mebibyte })
      await eventually('the upload is read ahead', () => (held[i]?.readableLength ?? 0) === 7 * mebibyte)
      if (i % 2 === 0) client.destroy()
      else served.guard.scopes().forEach((scope) => void scope.close())
      await eventually('the scope is closed', () => served.guard.scopes().length === 0)
      client.destroy()
    }
    await assertClean(served)
  })

  test('in chunks of one byte are held back long before 8 MiB', async (t) => {
    const { served, held } = await serveUnread(t)
    const client = connect(served.port, '127.0.0.1')
    client.on('error', () => {})
    client.write(
      `POST /upload HTTP/1.1\r\nhost: test\r\ncontent-type: ${type}\r\ntransfer-encoding: chunked\r\n\r\n`
    )
    const chunks = 300_000
    client.write('1\r\na\r\n'.repeat(chunks))
    await eventually('the upload is held back', () => (held[0]?.readableLength ?? 0) > 45_000)
    for (let i = 0; i < 100; i++) await turn()
    assert.ok((held[0]?.readableLength ?? 0) < chunks / 2, `${held[0]?.readableLength} chunks`)
    client.destroy()
  })
})

suite('an answer to an unread upload', () => {
  test('leaves the connection usable for the next request', async (t) => {
    const served = await serve({ guard: { timeout: distantMs } }, (app, served) => {
      acceptStreams(served)
      app.post('/upload', async (request) => {
        request.spawn('sleep', ['1000'])
        await eventually('the upload is read ahead', () => isHeldBack(request.raw))
        return 'unread'
      })
    })
    t.after(() => served.close())
    const client = upload(served.port, Buffer.alloc(20 * mebibyte))
    client.write('GET /ping HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n')
    assert.match(await text(client), /^HTTP\/1\.1 200 .*unread.*HTTP\/1\.1 200 .*pong$/s)
    await assertClean(served)
  })
})

/** What the guard adds to a request of a plain server. */
function guardMethods(request: GuardedRequest): Pick<GuardedRequest, 'subprocesses' | 'spawn'> {
  return { subprocesses: request.subprocesses, spawn: (...args) => request.spawn(...(args as [string])) }
}
