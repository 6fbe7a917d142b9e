/** A server that holds its requests open until it is told to answer. Argument: contestant. Needs `--expose-gc`. */

import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { setImmediate as turn, setTimeout as wait } from 'node:timers/promises'
import { promisify } from 'node:util'
import Fastify from 'fastify'
import subprocessGuard from 'fastify-subprocess-guard'
import { act } from '../harness/actor.js'

const [contestant = ''] = process.argv.slice(2)

// What one collection has set free by callbacks, the next one finds.
const collections = 3
// The guard looks once a second for what is over, and holds it until then.
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

  /** Resolves when so many requests are open. */
  async open(count: number) {
    while (held.length < count) await once(app.server, 'held')
    return held.length
  },

  /** The memory that is in use, in bytes, once all garbage is collected. Buffers are part of what is `external`. */
  async memory() {
    for (let number = 0; number < collections; number++) {
      globalThis.gc?.()
      await turn()
    }
    const { heapUsed, external } = process.memoryUsage()
    return heapUsed + external
  },

  /** Resolves when no connection is left, nor what anybody remembers of it. */
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
