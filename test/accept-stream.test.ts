/**
 * A standard stream whose connection the worker accepts, as on Windows. The functions work with Unix sockets,
 * too, so these tests need no Windows.
 */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { suite, type TestContext, test } from 'node:test'
import type * as AcceptStream from '../lib/subprocess/accept-stream.js'
import type * as RelayedSocketModule from '../lib/subprocess/relayed-socket.js'
import type * as ConnectionHeader from '../lib/wire/connection-header.js'
import { compiled } from './harness/compiled.js'

// Not exported by the package: import the compiled files.
const { acceptStream }: typeof AcceptStream = await compiled('subprocess/accept-stream')
const { RelayedSocket }: typeof RelayedSocketModule = await compiled('subprocess/relayed-socket')
const { connectionHeader }: typeof ConnectionHeader = await compiled('wire/connection-header')

const header = connectionHeader('s'.repeat(32), 7)

interface Accepting {
  readonly path: string
  readonly connection: Promise<Socket>
  readonly stop: () => void
}

function accepting(t: TestContext): Accepting {
  const folder = mkdtempSync(join(tmpdir(), 'accept-stream-'))
  const path = join(folder, 'pipe')
  let stop = (): void => {}
  const connection = new Promise<Socket>((resolve, reject) => {
    const onConnected = (socket: Socket): void => {
      // It may stay half open: since Node 24, `text` does not destroy what it has read.
      t.after(() => void socket.destroy())
      resolve(socket)
    }
    stop = acceptStream(path, header, onConnected, (code) => reject(new Error(code)))
  })
  t.after(() => {
    stop()
    rmSync(folder, { recursive: true })
  })
  return { path, connection, stop: () => stop() }
}

suite('a stream that the worker accepts', () => {
  test('begins behind its header, also where both come together', async (t) => {
    const { path, connection } = accepting(t)
    connect(path).end(`${header}output`)
    assert.equal(await text(await connection), 'output')
  })

  test('is the one with the header: what others send or leave open is closed and not read', async (t) => {
    const { path, connection } = accepting(t)
    const [silent, wrong] = [connect(path), connect(path)]
    const closed = [silent, wrong].map((socket) => once(socket.on('error', () => {}).resume(), 'close'))
    wrong.write(connectionHeader('t'.repeat(32), 7))
    await closed[1]
    connect(path).end(`${header}output`)
    assert.equal(await text(await connection), 'output')
    await closed[0]
    await assert.rejects(once(connect(path), 'connect'), { code: /ENOENT|ECONNREFUSED/ })
  })

  test('is refused when nobody waits for it any more', async (t) => {
    const { path, stop } = accepting(t)
    const early = connect(path)
    await once(early, 'connect')
    stop()
    await once(early.on('error', () => {}).resume(), 'close')
  })
})

suite('a socket that has taken over a connection', () => {
  test('passes on what comes, its end, and the pauses of its reader', async (t) => {
    const { path, connection } = accepting(t)
    const other = connect(path)
    other.write(header)
    const output = new RelayedSocket()
    output.relay(await connection, true)
    // More than all buffers hold.
    const size = 4 * 1024 * 1024
    assert.equal(other.write('o'.repeat(size)), false)
    await once(output, 'readable')
    assert.ok(output.readableLength < size)
    other.end()
    assert.equal((await text(output)).length, size)
  })

  test('passes on what is written to it, its end, and the pauses of the reader', async (t) => {
    const { path, connection } = accepting(t)
    const other = connect(path)
    other.write(header)
    const input = new RelayedSocket({ readable: false })
    input.relay(await connection, false)
    const size = 4 * 1024 * 1024
    assert.equal(input.write('i'.repeat(size)), false)
    input.end('.')
    assert.equal((await text(other)).length, size + 1)
  })

  test('fails with its connection, and closes it', async (t) => {
    const { path, connection } = accepting(t)
    const other = connect(path)
    other.write(header)
    const peer = await connection
    const output = new RelayedSocket()
    output.relay(peer, true)
    const failed = once(output, 'error')
    peer.destroy(new Error('as planned'))
    assert.match(String((await failed)[0]), /as planned/)
    await once(other.on('error', () => {}).resume(), 'close')
  })
})
