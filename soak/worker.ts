/** A worker of the soak: a Fastify server with one route for each ending, with the guard or without. */

import type { AddressInfo } from 'node:net'
import Fastify, { type FastifyReply, type FastifyRequest } from 'fastify'
import subprocessGuard from 'fastify-subprocess-guard'
import { type Ending, endings, routeOf } from './endings.js'
import { graceMs, longTimeoutMs, requestName, type WorkerMessage, type WorkerSettings } from './settings.js'
import { startUnguarded } from './unguarded.js'

// How long requests may go on at shutdown. There are none then.
const drainMs = 1_000

const { isGuarded } = JSON.parse(process.argv[2] ?? '') as WorkerSettings
const app = Fastify({ logger: { level: 'warn' }, forceCloseConnections: true })
let toldKeeper: number | undefined

// Ctrl-C in a terminal comes here, too. The primary closes this worker.
process.on('SIGINT', () => {})

if (isGuarded) {
  await app.register(subprocessGuard, { timeout: longTimeoutMs, grace: graceMs, drain: drainMs })
  app.addHook('onResponse', (_request, _reply, done) => {
    tellOfNewKeeper()
    done()
  })
}
for (const ending of endings) {
  const config = { subprocessGuard: { timeout: ending.timeoutMs } }
  app.get(routeOf(ending), { config }, (request, reply) => serve(ending, request, reply))
}
process.on('message', () => void close())
// Its own port and not the shared one: the client has to know whose end cuts a request short.
await app.listen({ host: '127.0.0.1', port: 0, exclusive: true })
toldKeeper = keeper()
tell({
  type: 'ready',
  port: (app.server.address() as AddressInfo).port,
  keeper: toldKeeper,
  containment: isGuarded ? app.subprocessGuard.containment : undefined
})

async function serve(ending: Ending, request: FastifyRequest, reply: FastifyReply): Promise<unknown> {
  const start = isGuarded ? request.subprocesses : startUnguarded(reply, ending.timeoutMs)
  const env = { ...process.env, [requestName]: `${request.headers['x-soak-request']}${routeOf(ending)}` }
  return ending.handle(start, env)
}

/** Ends without `process.exit()`: whatever is left open would hold it, and be found. */
async function close(): Promise<void> {
  await app.close()
  // Without the guard it is the children that are left.
  if (!isGuarded) process.exit()
  process.disconnect()
}

function keeper(): number | undefined {
  return isGuarded ? app.subprocessGuard.keeper : undefined
}

function tellOfNewKeeper(): void {
  const now = keeper()
  if (now === undefined || now === toldKeeper) return
  toldKeeper = now
  tell({ type: 'keeper', keeper: now })
}

function tell(message: WorkerMessage): void {
  process.send?.(message)
}
