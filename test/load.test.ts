/** Many concurrent requests that end in every way leave no process, no zombie and no descriptor. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { ask } from './harness/client.js'
import { distantMs } from './harness/deadlines.js'
import { assertClean, assertGone, assertLeft, eventually } from './harness/expectations.js'
import { descriptorsOf } from './harness/proc.js'
import { type Served, type Setup, serve } from './harness/server.js'

const requests = 501
const connections = 50
const timeout = 400

// By path: closes the client's connection. Called when its request is under way.
const leave = new Map<string, () => void>()

/**
 * A server with one route for each way to end. Every request starts a command that has a background child.
 */
function serveMixed(setup: Setup): Promise<Served> {
  return serve(setup, (_app, served) => {
    served.get('/finishes', async (request) => {
      served.run(request, 'background-child.sh')
      return 'answer'
    })
    served.get(
      '/late',
      async (request) => {
        served.run(request, 'background-child.sh')
        await new Promise(() => {})
      },
      { timeout }
    )
    served.get('/left', async (request) => {
      const child = served.run(request, 'background-child.sh')
      const { url } = request.raw
      // Half of the clients leave before their command runs, the others as soon as it does.
      if (/[13579]$/.test(url as string)) await once(child, 'spawn')
      leave.get(url as string)?.()
      await new Promise(() => {})
    })
  })
}

/**
 * Sends `count` requests, a third for each way to end. Resolves when all have ended, to the number of
 * requests for each end.
 */
async function load(served: Served, count: number): Promise<Record<string, number>> {
  const ends: Record<string, number> = {}
  let next = 0
  const client = async (): Promise<void> => {
    for (let number = next++; number < count; number = next++) {
      const path = `${['/finishes', '/late', '/left'][number % 3]}?number=${number}`
      const asked = ask(served.port, path)
      leave.set(path, asked.leave)
      const end = await asked.answer.then(
        ({ status }) => String(status),
        () => 'left'
      )
      ends[end] = (ends[end] ?? 0) + 1
    }
  }
  await Promise.all(Array.from({ length: connections }, client))
  return ends
}

test(`${requests} requests on ${connections} connections leave nothing`, async (t) => {
  const served = await serveMixed({ guard: { timeout: distantMs } })
  t.after(() => served.close())
  // Warm-up: descriptors that the first requests open permanently are no leak.
  await load(served, 30)
  served.log.length = 0
  await assertClean(served)
  const count = () => [process.pid, served.app.subprocessGuard.keeper].map(descriptorsOf)
  const before = count()

  const ends = await load(served, requests)
  t.diagnostic(`answers: ${JSON.stringify(ends)}`)
  assert.deepEqual(ends, { 200: requests / 3, 503: requests / 3, left: requests / 3 })
  await assertGone(served)
  await assertClean(served)
  await eventually('no more descriptors than before', () =>
    count().every((now, index) => now <= (before[index] as number))
  )
  t.diagnostic(`descriptors of worker and keeper: ${before} before, ${count()} after`)
  t.diagnostic(`processes seen: ${served.witness.announced.length}`)
})

test('without the guard thirty requests leave their processes', async (t) => {
  const served = await serveMixed({ guard: false, server: { handlerTimeout: timeout } })
  t.after(() => served.close())
  await load(served, 30)
  // Each request has started two processes.
  await served.witness.present(60)
  await assertLeft(served, 60)
})
