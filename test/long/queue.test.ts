/** The queue of a route under load: everything runs, in the order of the calls, and nothing is left. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { Agent, request as httpRequest } from 'node:http'
import { text } from 'node:stream/consumers'
import { type TestContext, test } from 'node:test'
import { assertClean } from '../harness/expectations.js'
import { type Served, serve } from '../harness/server.js'

const connections = 200
const concurrency = 4

interface Loaded {
  readonly served: Served
  readonly called: number[]
  readonly started: number[]
  mostAtOnce(): number
}

/** A server whose requests run one command each, in four places. */
async function start(t: TestContext): Promise<Loaded> {
  const called: number[] = []
  const started: number[] = []
  let running = 0
  let most = 0
  // A busy machine takes minutes for all of them.
  const guard = { timeout: false, limits: { concurrency: 100 } } as const
  const served = await serve({ guard, server: { logger: false } }, (app) => {
    const config = { subprocessGuard: { limits: { concurrency } } }
    app.get('/', { config }, async (request) => {
      const number = called.length
      called.push(number)
      const child = request.spawn('true', { stdio: 'ignore' })
      child.once('spawn', () => {
        started.push(number)
        running++
        most = Math.max(most, running)
      })
      const [code] = await once(child, 'exit')
      running--
      await request.subprocesses.close()
      return String(code)
    })
  })
  t.after(() => served.close())
  return { served, called, started, mostAtOnce: () => most }
}

/** Sends so many requests by 200 clients. Each calls `ask` with the number of its request. */
async function load(count: number, ask: (number: number) => Promise<void>): Promise<void> {
  let sent = 0
  const client = async (): Promise<void> => {
    while (sent < count) await ask(sent++)
  }
  await Promise.all(Array.from({ length: connections }, client))
}

test('10,000 requests of 200 connections run their commands in the order of the calls, four at a time', async (t) => {
  const { served, called, started, mostAtOnce } = await start(t)
  const agent = new Agent({ keepAlive: true, maxSockets: connections })
  t.after(() => agent.destroy())
  const count = 10_000
  const startedAt = performance.now()
  let answered = 0
  await load(count, async () => {
    const [response] = await once(httpRequest({ port: served.port, path: '/', agent }).end(), 'response')
    assert.equal(response.statusCode, 200)
    assert.equal(await text(response), '0')
    answered++
  })
  t.diagnostic(`${Math.round((count * 1_000) / (performance.now() - startedAt))} requests per second`)
  assert.equal(answered, count)
  assert.equal(called.length, count)
  assert.deepEqual(started, called)
  assert.equal(mostAtOnce(), concurrency)
  await assertClean(served)
})

test('clients that leave the queue keep nobody waiting', async (t) => {
  const { served, called, started, mostAtOnce } = await start(t)
  const agent = new Agent({ keepAlive: true, maxSockets: connections })
  t.after(() => agent.destroy())
  let answered = 0
  await load(5_000, async (number) => {
    const sent = httpRequest({ port: served.port, path: '/', agent, headers: { expect: '100-continue' } })
    sent.on('error', () => {})
    sent.end()
    if (number % 2 === 0) {
      const [response] = await once(sent, 'response')
      assert.equal(await text(response), '0')
      answered++
      return
    }
    // The server has read the head of the request, and its command waits, or will.
    await once(sent, 'continue')
    const closed = new Promise<void>((resolve) => sent.once('close', () => resolve()))
    sent.destroy()
    await closed
  })
  assert.equal(answered, 2_500)
  t.diagnostic(`${called.length} commands were called for, and ${started.length} have run`)
  assert.deepEqual(
    started,
    started.toSorted((one, other) => one - other)
  )
  assert.ok(mostAtOnce() <= concurrency)
  await assertClean(served)
})
