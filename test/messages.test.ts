/** What comes by the keeper's sockets, whole, in halves, or as garbage (FAULTS 44). */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { suite, type TestContext, test } from 'node:test'
import type * as Door from '../lib/keeper/stdio-server.js'
import type * as Headers from '../lib/wire/connection-header.js'
import type * as Framing from '../lib/wire/framing.js'
import type * as Protocol from '../lib/wire/messages.js'
import { compiled } from './harness/compiled.js'
import { assertGone, eventually } from './harness/expectations.js'
import { RawKeeper } from './harness/raw-keeper.js'

// Not public: the compiled files themselves.
const { connectionHeader }: typeof Headers = await compiled('wire/connection-header')
const { Decoder, encode }: typeof Framing = await compiled('wire/framing')
const { StdioServer }: typeof Door = await compiled('keeper/stdio-server')

type Message = Protocol.WorkerMessage | Protocol.KeeperMessage

suite('a stream of messages', () => {
  // Two bytes, three and four: a cut may go through a character.
  const messages: Message[] = [
    { type: 'add-folder', scope: 1, folder: { path: '/é€𝄞\n"' } },
    { type: 'close', scope: 1 },
    { type: 'failed', id: 7, failure: { code: 'ENOENT', errno: -2, message: 'spawn é ENOENT' } }
  ]
  const bytes = Buffer.from(messages.map(encode).join(''))

  test('comes whole in one piece, and byte for byte', () => {
    assert.deepEqual(new Decoder<Message>().decode(bytes), messages)
    const decoder = new Decoder<Message>()
    assert.deepEqual(
      [...bytes].flatMap((byte) => decoder.decode(Buffer.from([byte]))),
      messages
    )
  })

  test('comes whole wherever it is cut in two', () => {
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

  test('gives no message that has not come to its end', () => {
    for (let cut = 1; cut < bytes.length; cut++) {
      const whole = bytes.subarray(0, cut).filter((byte) => byte === 0x0a).length
      assert.equal(new Decoder<Message>().decode(bytes.subarray(0, cut)).length, whole)
    }
  })

  test('that is garbage is an error, and never a message', () => {
    for (const garbage of ['GET / HTTP/1.1\r\n', '{"type":\n', '\0\xff\n', '\n', '}{\n']) {
      assert.throws(() => new Decoder<Message>().decode(Buffer.from(garbage, 'latin1')), SyntaxError)
    }
  })
})

// Each has a keeper of its own, and waits for its grace.
suite('the control socket of a keeper', { concurrency: true }, () => {
  test('takes orders that come byte for byte', async (t) => {
    const keeper = await RawKeeper.start(t)
    for (const byte of Buffer.from(keeper.open + keeper.launch('daemon.sh'))) {
      keeper.link.write(Buffer.from([byte]))
      // A turn of the loop each, so that not all of it goes in one piece.
      await new Promise((resolve) => setImmediate(resolve))
    }
    await keeper.witness.present(2)
    keeper.link.write(encode({ type: 'close', scope: 1 }))
    await assertGone(keeper)
    await eventually('it says that the scope is closed', () =>
      keeper.heard.some(({ type }) => type === 'closed')
    )
    keeper.link.end(encode({ type: 'dismiss' }))
    assert.equal(await keeper.status(), 0)
    assert.equal(keeper.errors, '')
  })

  for (const garbage of ['GET / HTTP/1.1\r\n\r\n', '{"type":"close"\n', '\0\n', 'null\n']) {
    test(`with garbage on it ends all that runs, and the keeper, and says why: ${JSON.stringify(garbage)}`, async (t) => {
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

  test('that ends in the middle of an order starts nothing, and ends what runs', async (t) => {
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
  async function openDoor(t: TestContext) {
    const arrivals: number[] = []
    const door = await StdioServer.open(
      'test',
      (connection) => arrivals.push(connection),
      () => ({})
    )
    t.after(() => door.close())
    const call = (): Socket => connect(door.path).on('error', () => {})
    return { door, arrivals, call }
  }

  test('takes a header that comes byte for byte', async (t) => {
    const { door, arrivals, call } = await openDoor(t)
    const socket = call()
    t.after(() => socket.destroy())
    for (const byte of connectionHeader(door.secret, 5)) {
      socket.write(byte)
      await new Promise((resolve) => setImmediate(resolve))
    }
    await eventually('the connection has come', () => arrivals.length > 0)
    assert.deepEqual(arrivals, [5])
    door.take(5)?.destroy()
  })

  test('leaves a stream to the first client that names it, and turns the second away', async (t) => {
    const { door, arrivals, call } = await openDoor(t)
    const first = call()
    t.after(() => first.destroy())
    first.write(connectionHeader(door.secret, 5))
    await eventually('the connection has come', () => door.has(5))
    const second = call()
    second.write(connectionHeader(door.secret, 5))
    await once(second.resume(), 'close')
    assert.deepEqual(arrivals, [5])
    // The one that is there leads to the first.
    const taken = door.take(5) as Socket
    taken.end('for the first')
    assert.equal(String((await once(first, 'data'))[0]), 'for the first')
    taken.destroy()
  })

  test('turns a client away that ends in the middle of its header', async (t) => {
    const { door, arrivals, call } = await openDoor(t)
    const socket = call()
    socket.end(connectionHeader(door.secret, 5).slice(0, -1))
    await once(socket.resume(), 'close')
    assert.deepEqual(arrivals, [])
  })

  test('turns a client away that says more than its header', async (t) => {
    const { door, arrivals, call } = await openDoor(t)
    const socket = call()
    socket.write(`${connectionHeader(door.secret, 5)}more`)
    await once(socket.resume(), 'close')
    assert.deepEqual(arrivals, [])
  })
})
