/** A server with a cheap route and a route that starts a command. Arguments: contestant, MB. */

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import Fastify, { type FastifyRequest } from 'fastify'
import subprocessGuard from 'fastify-subprocess-guard'
import { act } from '../harness/actor.js'
import { fillTo } from '../harness/ballast.js'

const [contestant = '', megabytes = '0'] = process.argv.slice(2)
let spawned = 0
const isGuarded = contestant === 'guard'
const app = Fastify()
if (isGuarded) await app.register(subprocessGuard, { timeout: 30_000 })

function start(request: FastifyRequest): ChildProcess {
  spawned++
  return isGuarded ? request.spawn('echo', ['hi']) : spawn('echo', ['hi'])
}

app.get('/cheap', async () => 'cheap')
app.get('/spawn', async (request) => {
  const child = start(request)
  const closed = once(child, 'close')
  const output = await text(child.stdout as NonNullable<typeof child.stdout>)
  await closed
  return output
})
await app.listen({ port: 0 })
fillTo(Number(megabytes))
process.once('disconnect', () => app.close())

act({
  listen: () => (app.server.address() as AddressInfo).port,
  /** The number of commands so far. */
  spawned: () => spawned
})
