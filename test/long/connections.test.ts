/** The law of the connection for 10,000 of them, after which the heap is what it was after the first 2,000 (FAULTS 61). */

import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { Order, Told } from '../harness/connections/main.js'
import { seedOfRun } from '../harness/connections/property.js'

const entry = fileURLToPath(new URL('../harness/connections/main.js', import.meta.url))
const part = 2_000
const parts = 5
/** What may be added without being a leak: a heap needs some room to move in, and 100 bytes for each connection would be this. */
const roomBytes = 800_000

test(`${part * parts} generated connections: each ends its scopes, and the heap does not grow`, async (t) => {
  const seed = seedOfRun()
  const server = fork(entry, { execArgv: ['--expose-gc'] })
  t.after(async () => {
    if (server.exitCode !== null || server.signalCode !== null) return
    server.disconnect()
    await once(server, 'exit')
  })
  const sizes: number[] = []
  for (let index = 0; index < parts; index++) {
    // A seed of its own for each, which a failure names.
    server.send({ seed: seed + index, connections: part } satisfies Order)
    const [told]: Told[] = (await once(server, 'message')) as never
    if (told === undefined || 'broken' in told) assert.fail(told?.broken)
    sizes.push(told.heapBytes)
    t.diagnostic(`CONNECTIONS_SEED=${seed + index}: ${told.count} connections, ${told.heapBytes} bytes`)
  }
  const [first = 0] = sizes
  const grown = (sizes.at(-1) ?? 0) - first
  assert.ok(grown <= roomBytes, `the heap has grown by ${grown} bytes: ${sizes}`)
})
