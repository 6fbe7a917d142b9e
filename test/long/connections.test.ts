/**
 * 10,000 generated connections, each of which must end its scopes. The heap afterwards is as large as after
 * the first 2,000 (docs/faults.md, 61).
 */

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
/**
 * Growth that is no leak: the size of a heap varies. A leak of 100 bytes for each connection would reach this
 * limit.
 */
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
    // Each part has its own seed, which a failure names.
    server.send({ seed: seed + index, connections: part } satisfies Order)
    const [result]: Told[] = (await once(server, 'message')) as never
    if (result === undefined || 'broken' in result) assert.fail(result?.broken)
    sizes.push(result.heapBytes)
    t.diagnostic(`CONNECTIONS_SEED=${seed + index}: ${result.count} connections, ${result.heapBytes} bytes`)
  }
  const [first = 0] = sizes
  const grown = (sizes.at(-1) ?? 0) - first
  assert.ok(grown <= roomBytes, `the heap has grown by ${grown} bytes: ${sizes}`)
})
