/** Many requests at once, ending in every way: nothing alive, no zombie, and descriptors as before. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ask } from './harness/client.js'
import { assertClean, assertGone, assertLeft, eventually } from './harness/expectations.js'
import { descriptorsOf } from './harness/proc.js'
import { type LogLine, type Served, type Setup, serve } from './harness/server.js'

const requests = 500
const connections = 50
const timeout = 400

/** A server with one route for each way to end; every request starts a command and its background child. */
function serveMixed(setup: Setup): Promise<Served> {
  return serve(setup, (app, served) => {
    app.get('/finishes', async (request) => {
      served.run(request, 'background-child.sh')
      return 'answer'
    })
    for (const path of ['/late', '/left']) {
      app.get(path, async (request) => {
        served.run(request, 'background-child.sh')
        await new Promise(() => {})
      })
    }
  })
}

/** Sends so many requests, a third of each way to end, and resolves when all have ended. */
async function load(served: Served, count: number): Promise<Record<string, number>> {
  const ends: Record<string, number> = {}
  let next = 0
  const client = async (): Promise<void> => {
    for (let number = next++; number < count; number = next++) {
      const path = `${['/finishes', '/late', '/left'][number % 3]}?number=${number}`
      const asked = ask(served.port, path)
      if (path.startsWith('/left')) {
        // Leaves when its request has come: the log says so before the handler runs.
        await eventually('the request is in the log', () => served.log.some((line) => urlOf(line) === path))
        asked.leave()
      }
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

function urlOf(line: LogLine): unknown {
  return (line.req as { url?: string } | undefined)?.url
}

test(`${requests} requests at ${connections} connections leave nothing`, async (t) => {
  const served = await serveMixed({ guard: { timeout } })
  t.after(() => served.close())
  // What the first requests open once and for all is no leak.
  await load(served, 30)
  served.log.length = 0
  await assertClean(served)
  const count = () => [process.pid, served.app.subprocessGuard.keeper].map(descriptorsOf)
  const before = count()

  const ends = await load(served, requests)
  t.diagnostic(`answers: ${JSON.stringify(ends)}`)
  assert.equal(
    Object.values(ends).reduce((sum, n) => sum + n),
    requests
  )
  for (const end of ['200', '503', 'left']) assert.ok((ends[end] ?? 0) > requests / 4, `${end}: ${ends[end]}`)
  await assertGone(served)
  await assertClean(served)
  await eventually(
    'as many descriptors as before',
    () => count().every((now, index) => now <= (before[index] as number)),
    10_000
  )
  t.diagnostic(`descriptors of worker and keeper: ${before} before, ${count()} after`)
  t.diagnostic(`processes seen: ${served.witness.announced.length}`)
})

test('without the guard thirty requests leave their processes', async (t) => {
  const served = await serveMixed({ guard: false, server: { handlerTimeout: timeout } })
  t.after(() => served.close())
  await load(served, 30)
  // Each request has started two.
  await served.witness.present(60)
  await assertLeft(served, 60)
})
