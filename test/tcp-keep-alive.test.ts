/**
 * While a request has subprocesses, TCP keep-alive probes whether its silent client is still there
 * (docs/faults.md, 63).
 */

import assert from 'node:assert/strict'
import http2 from 'node:http2'
import { connect } from 'node:net'
import { suite, type TestContext, test } from 'node:test'
import { distantMs } from './harness/deadlines.js'
import { eventually } from './harness/expectations.js'
import { kinds } from './harness/kinds.js'
import { serve } from './harness/server.js'
import { shareKeeper } from './harness/shared-keeper.js'
import { type TcpTimer, tcpTimerOf } from './harness/tcp-timer.js'

shareKeeper()

const never = (): Promise<never> => new Promise(() => {})

/** Sends a request for `/waits`. Returns how to read the timer of its connection. */
function askForWaits(t: TestContext, port: number): () => TcpTimer | undefined {
  const client = connect(port, '127.0.0.1')
  t.after(() => client.destroy())
  client.write('GET /waits HTTP/1.1\r\nhost: test\r\n\r\n')
  return () => tcpTimerOf(port, client.localPort as number)
}

for (const kind of kinds) {
  test(`${kind.name}: a connection gets keep-alive when its request has a subprocess`, async (t) => {
    let start: (() => void) | undefined
    const served = await kind.serve({ guard: { timeout: distantMs } }, (served) => {
      served.get('/waits', async (request) => {
        await new Promise<void>((resolve) => {
          start = resolve
        })
        served.run(request, 'waits.sh')
        await never()
      })
    })
    t.after(() => served.close())
    const timer = askForWaits(t, served.port)
    await eventually('the request has arrived', () => start !== undefined)
    await eventually('the connection has no timer', () => timer()?.name === 'none')
    start?.()
    await served.witness.present(1)
    await eventually('keep-alive is on', () => timer()?.name === 'keep-alive')
    assert.ok((timer() as TcpTimer).dueMs <= 30_000)
  })
}

suite('a connection', () => {
  test('keeps the delay of a server that has its own keep-alive', async (t) => {
    const http = { keepAlive: true, keepAliveInitialDelay: 600_000 }
    const served = await serve({ guard: { timeout: distantMs }, server: { http } }, (app, served) => {
      app.get('/waits', async (request) => {
        served.run(request, 'waits.sh')
        await never()
      })
    })
    t.after(() => served.close())
    const timer = askForWaits(t, served.port)
    await served.witness.present(1)
    await eventually('keep-alive is on', () => timer()?.name === 'keep-alive')
    assert.ok((timer() as TcpTimer).dueMs > 500_000)
  })

  test('of HTTP/2 has keep-alive when the server is created with it', async (t) => {
    const http2Options = { http2: true, http: { keepAlive: true, keepAliveInitialDelay: 30_000 } }
    const served = await serve({ guard: { timeout: distantMs }, server: http2Options }, (app, served) => {
      app.get('/waits', async (request) => {
        served.run(request, 'waits.sh')
        await never()
      })
    })
    const session = http2.connect(`http://127.0.0.1:${served.port}`)
    t.after(async () => {
      session.destroy()
      await served.close()
    })
    session.request({ ':path': '/waits' }).on('error', () => {})
    await served.witness.present(1)
    const timer = () => tcpTimerOf(served.port, session.socket.localPort as number)
    await eventually('keep-alive is on', () => timer()?.name === 'keep-alive')
  })
})
