/**
 * A server that keeps its requests open until the actor's part `answer` is called. Argument: contestant.
 * Needs `--expose-gc`.
 */

import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { setImmediate as turn, setTimeout as wait } from 'node:timers/promises'
import { promisify } from 'node:util'
import Fastify from 'fastify'
import subprocessGuard from 'fastify-subprocess-guard'
import { act } from '../harness/actor.js'

const [contestant = ''] = process.argv.slice(2)

// Callbacks after one collection may release more, which the next one frees.
const collections = 3
// The guard checks once a second which requests are over, and references them until then.
const forgottenWithinMs = 1_200

const app = Fastify()
if (contestant === 'guard') await app.register(subprocessGuard)
let held: (() => void)[] = []
app.get('/', async () => {
  const answered = new Promise<void>((resolve) => held.push(resolve))
  app.server.emit('held')
  await answered
  return { hello: 'world' }
})
await app.listen({ host: '127.0.0.1', port: 0 })
process.once('disconnect', () => app.close())

act({
  port: () => (app.server.address() as AddressInfo).port,

  /** Resolves when that many requests are open. */
  async open(count: number) {
    while (held.length < count) await once(app.server, 'held')
    return held.length
  },

  /** The memory in use after garbage collection, in bytes. `external` includes buffers. */
  async memory() {
    for (let number = 0; number < collections; number++) {
      globalThis.gc?.()
      await turn()
    }
    const { heapUsed, external } = process.memoryUsage()
    return heapUsed + external
  },

  /** Resolves when no connection is left, and the guard has forgotten them. */
  async left() {
    const connections = promisify(app.server.getConnections.bind(app.server))
    while ((await connections()) > 0) await wait(10)
    await wait(forgottenWithinMs)
  },

  answer() {
    for (const answer of held) answer()
    held = []
  }
})
