/** Input on the keeper's sockets: whole, in pieces, truncated and garbage (docs/faults.md, 44). */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { suite, type TestContext, test } from 'node:test'
import type * as StdioServerModule from '../lib/keeper/stdio-server.js'
import type * as HeaderModule from '../lib/wire/connection-header.js'
import type * as FramingModule from '../lib/wire/framing.js'
import type * as MessagesModule from '../lib/wire/messages.js'
import { compiled } from './harness/compiled.js'
import { assertGone, eventually } from './harness/expectations.js'
import { RawKeeper } from './harness/raw-keeper.js'

// Not exported by the package: import the compiled files.
const { connectionHeader }: typeof HeaderModule = await compiled('wire/connection-header')
const { Decoder, encode }: typeof FramingModule = await compiled('wire/framing')
const { StdioServer }: typeof StdioServerModule = await compiled('keeper/stdio-server')

type Message = MessagesModule.WorkerMessage | MessagesModule.KeeperMessage

suite('a stream of messages', () => {
  // Characters of two, three and four bytes: a cut may split a character.
  const messages: Message[] = [
    { type: 'add-folder', scope: 1, folder: { path: '/é€𝄞\n"' } },
    { type: 'close', scope: 1 },
    { type: 'failed', id: 7, failure: { code: 'ENOENT', errno: -2, message: 'spawn é ENOENT' } }
  ]
  const bytes = Buffer.from(messages.map(encode).join(''))

  test('is decoded from one piece, and byte by byte', () => {
    assert.deepEqual(new Decoder<Message>().decode(bytes), messages)
    const decoder = new Decoder<Message>()
    assert.deepEqual(
      [...bytes].flatMap((byte) => decoder.decode(Buffer.from([byte]))),
      messages
    )
  })

  test('is decoded wherever it is cut in two', () => {
    for (let cut = 0; cut <= bytes.length; cut++) {
      const decoder = new Decoder<Message>()
      const halves = [bytes.subarray(0, cut), bytes.subarray(cut)]
      assert.deepEqual(
        halves.flatMap((half) => decoder.decode(half)),
        messages,
        `cut at ${cut}`
      )
    }
  })

  test('yields no incomplete message', () => {
    for (let cut = 1; cut < bytes.length; cut++) {
      const whole = bytes.subarray(0, cut).filter((byte) => byte === 0x0a).length
      assert.equal(new Decoder<Message>().decode(bytes.subarray(0, cut)).length, whole)
    }
  })

  test('that is garbage is an error, never a message', () => {
    for (const garbage of ['GET / HTTP/1.1\r\n', '{"type":\n', '\0\xff\n', '\n', '}{\n']) {
      assert.throws(() => new Decoder<Message>().decode(Buffer.from(garbage, 'latin1')), SyntaxError)
    }
  })
})

// Concurrent: each test has its own keeper and waits for its grace period.
suite('the control socket of a keeper', { concurrency: true }, () => {
  test('accepts orders that arrive byte by byte', async (t) => {
    const keeper = await RawKeeper.start(t)
    for (const byte of Buffer.from(keeper.open + keeper.launch('daemon.sh'))) {
      keeper.link.write(Buffer.from([byte]))
      // One turn of the event loop for each byte, so that they are not sent in one piece.
      await new Promise((resolve) => setImmediate(resolve))
    }
    await keeper.witness.present(2)
    keeper.link.write(encode({ type: 'close', scope: 1 }))
    await assertGone(keeper)
    await eventually('the keeper reports that the scope is closed', () =>
      keeper.heard.some(({ type }) => type === 'closed')
    )
    keeper.link.end(encode({ type: 'dismiss' }))
    assert.equal(await keeper.status(), 0)
    assert.equal(keeper.errors, '')
  })

  for (const garbage of ['GET / HTTP/1.1\r\n\r\n', '{"type":"close"\n', '\0\n', 'null\n']) {
    test(`that receives garbage ends all that runs and the keeper, which logs why: ${JSON.stringify(garbage)}`, async (t) => {
      const keeper = await RawKeeper.start(t)
      keeper.link.write(keeper.open + keeper.launch('tree-ignores-term.sh'))
      await keeper.witness.present(4)
      keeper.link.write(garbage)
      await assertGone(keeper)
      assert.equal(await keeper.status(), 1)
      const line = JSON.parse(keeper.errors)
      assert.match(line.msg, /^keeper failed: (Syntax|Type)Error.*ended 4 processes, 0 survived$/s)
      assert.deepEqual(keeper.temporaryFiles(), [])
    })
  }

  test('that closes in the middle of an order starts nothing and ends what runs', async (t) => {
    const keeper = await RawKeeper.start(t)
    keeper.link.write(keeper.open + keeper.launch('daemon.sh'))
    await keeper.witness.present(2)
    keeper.link.end(keeper.launch('waits.sh').slice(0, -10))
    await assertGone(keeper)
    assert.equal(await keeper.status(), 0)
    assert.match(JSON.parse(keeper.errors).msg, /is gone: ended 2 processes, 0 survived$/)
    assert.equal(keeper.witness.announced.length, 2)
    assert.deepEqual(keeper.temporaryFiles(), [])
  })
})

suite('the stdio socket of a keeper', () => {
  async function openServer(t: TestContext) {
    const arrivals: number[] = []
    const server = await StdioServer.open(
      'test',
      (connection) => arrivals.push(connection),
      () => ({})
    )
    t.after(() => server.close())
    const connectClient = (): Socket => connect(server.path).on('error', () => {})
    return { server, arrivals, connectClient }
  }

  test('accepts a header that arrives byte by byte', async (t) => {
    const { server, arrivals, connectClient } = await openServer(t)
    const socket = connectClient()
    t.after(() => socket.destroy())
    for (const byte of connectionHeader(server.secret, 5)) {
      socket.write(byte)
      await new Promise((resolve) => setImmediate(resolve))
    }
    await eventually('the connection is accepted', () => arrivals.length > 0)
    assert.deepEqual(arrivals, [5])
    server.take(5)?.destroy()
  })

  test('assigns a stream to the first client that names it, and rejects the second', async (t) => {
    const { server, arrivals, connectClient } = await openServer(t)
    const first = connectClient()
    t.after(() => first.destroy())
    first.write(connectionHeader(server.secret, 5))
    await eventually('the connection is accepted', () => server.has(5))
    const second = connectClient()
    second.write(connectionHeader(server.secret, 5))
    await once(second.resume(), 'close')
    assert.deepEqual(arrivals, [5])
    // The accepted connection is that of the first client.
    const taken = server.take(5) as Socket
    taken.end('for the first')
    assert.equal(String((await once(first, 'data'))[0]), 'for the first')
    taken.destroy()
  })

  test('rejects a client that ends in the middle of its header', async (t) => {
    const { server, arrivals, connectClient } = await openServer(t)
    const socket = connectClient()
    socket.end(connectionHeader(server.secret, 5).slice(0, -1))
    await once(socket.resume(), 'close')
    assert.deepEqual(arrivals, [])
  })

  test('rejects a client that sends more than its header', async (t) => {
    const { server, arrivals, connectClient } = await openServer(t)
    const socket = connectClient()
    socket.write(`${connectionHeader(server.secret, 5)}more`)
    await once(socket.resume(), 'close')
    assert.deepEqual(arrivals, [])
  })
})
