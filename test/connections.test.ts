/**
 * When a connection ends, in any state of any protocol, the scopes of all its requests end (faults 61 and 88
 * in docs/faults.md). Connections are generated from a random seed, which `CONNECTIONS_SEED` overrides.
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

  test('generated: any requests, any server, any kind and time of ending', async (t) => {
    const seed = seedOfRun()
    t.diagnostic(`CONNECTIONS_SEED=${seed}`)
    await laws.warmUp()
    const count = await check(laws, { seed, connections: 200, atOnce: 40 })
    t.diagnostic(`${count} connections`)
  })
})
