/**
 * The law of the connection: every connection that ends, in whatever state of whatever protocol, ends the scopes of all its
 * requests (FAULTS 61, 88). Connections are generated, with another seed in each run; `CONNECTIONS_SEED` sets it.
 */

import assert from 'node:assert/strict'
import { after, before, suite, test } from 'node:test'
import { kept } from './harness/connections/kept.js'
import { Laws } from './harness/connections/laws.js'
import { check, seedOfRun } from './harness/connections/property.js'
import { patienceMs } from './harness/patience.js'
import { shareKeeper } from './harness/shared-keeper.js'

shareKeeper()

suite('a connection that ends ends the scopes of all its requests', () => {
  let laws: Laws
  before(async () => {
    laws = await Laws.start(patienceMs)
  })
  after(() => laws.close())

  for (const [title, plan] of Object.entries(kept)) {
    test(`kept: ${title}`, async () => {
      assert.deepEqual(await laws.faultsOf([plan]), [])
    })
  }

  test('generated: with any requests, on any server, in whatever way and moment it ends', async (t) => {
    const seed = seedOfRun()
    t.diagnostic(`CONNECTIONS_SEED=${seed}`)
    await laws.warmUp()
    const count = await check(laws, { seed, connections: 200, atOnce: 40 })
    t.diagnostic(`${count} connections`)
  })
})
