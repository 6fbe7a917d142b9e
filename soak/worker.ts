/** A worker of the soak: a Fastify server with one route for each ending, with or without the guard. */

import type { AddressInfo } from 'node:net'
import Fastify, { type FastifyReply, type FastifyRequest } from 'fastify'
import subprocessGuard from 'fastify-subprocess-guard'
import { type Ending, endings, routeOf } from './endings.js'
import { graceMs, longTimeoutMs, requestName, type WorkerMessage, type WorkerSettings } from './settings.js'
import { startUnguarded } from './unguarded.js'

// How long requests may go on at shutdown. There are none by then.
const drainMs = 1_000

const { isGuarded } = JSON.parse(process.argv[2] ?? '') as WorkerSettings
const app = Fastify({ logger: { level: 'warn' }, forceCloseConnections: true })
let announcedKeeper: number | undefined

// The terminal sends Ctrl-C to this process, too. The primary closes this worker.
process.on('SIGINT', () => {})

if (isGuarded) {
  await app.register(subprocessGuard, { timeout: longTimeoutMs, grace: graceMs, drain: drainMs })
  app.addHook('onResponse', (_request, _reply, done) => {
    announceNewKeeper()
    done()
  })
}
for (const ending of endings) {
  const config = { subprocessGuard: { timeout: ending.timeoutMs } }
  app.get(routeOf(ending), { config }, (request, reply) => serve(ending, request, reply))
}
process.on('message', () => void close())
// A port of its own instead of a shared one: the client has to know which worker serves a request.
await app.listen({ host: '127.0.0.1', port: 0, exclusive: true })
announcedKeeper = keeper()
send({
  type: 'ready',
  port: (app.server.address() as AddressInfo).port,
  keeper: announcedKeeper,
  containment: isGuarded ? app.subprocessGuard.containment : undefined
})

async function serve(ending: Ending, request: FastifyRequest, reply: FastifyReply): Promise<unknown> {
  const start = isGuarded ? request.subprocesses : startUnguarded(reply, ending.timeoutMs)
  const env = { ...process.env, [requestName]: `${request.headers['x-soak-request']}${routeOf(ending)}` }
  return ending.handle(start, env)
}

/** Ends without `process.exit()`: anything that is left open keeps the process alive, and is found. */
async function close(): Promise<void> {
  await app.close()
  // Without the guard, leftover children keep it alive.
  if (!isGuarded) process.exit()
  process.disconnect()
}

function keeper(): number | undefined {
  return isGuarded ? app.subprocessGuard.keeper : undefined
}

function announceNewKeeper(): void {
  const now = keeper()
  if (now === undefined || now === announcedKeeper) return
  announcedKeeper = now
  send({ type: 'keeper', keeper: now })
}

function send(message: WorkerMessage): void {
  process.send?.(message)
}
