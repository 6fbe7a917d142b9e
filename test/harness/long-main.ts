/** A worker that serves for a long time and reports its memory and its listeners. */

import { type EventEmitter, once } from 'node:events'
import { openSync } from 'node:fs'
import type { AddressInfo, Socket } from 'node:net'
import Fastify, { type FastifyRequest } from 'fastify'
import subprocessGuard from 'fastify-subprocess-guard'

/** The figures of an idle worker after a garbage collection. */
export interface WorkerFigures {
  readonly residentBytes: number
  readonly heapBytes: number
  /** Listeners of the process, of the server, and of the connection that has most. */
  readonly listeners: number
  /** Open connections. This many descriptors are not leaked. */
  readonly connections: number
  readonly openScopes: number
  /** Warnings of Node, such as of too many listeners. */
  readonly warnings: readonly string[]
}

type Query = { Querystring: { spawn?: string } }

const never = (): Promise<never> => new Promise(() => {})
// The negative control leaks a little of everything.
const isLeaky = process.argv[2] === 'leaky'
const leaked: unknown[] = []

const app = Fastify()
await app.register(subprocessGuard, { grace: 300, drain: 0 })
const connections = new Set<Socket>()
app.server.on('connection', (socket: Socket) => {
  connections.add(socket)
  socket.once('close', () => connections.delete(socket))
})
const warnings: string[] = []
process.on('warning', ({ message }) => warnings.push(message))
if (isLeaky) {
  process.setMaxListeners(0)
  app.addHook('onRequest', async () => {
    leaked.push(Buffer.alloc(16_384, 1))
    if (leaked.length % 100 !== 0) return
    leaked.push(openSync('/dev/null', 'r'))
    process.on('leaked', () => {})
  })
}

/** Starts the command that the request asks for, with streams or without. */
function start(request: FastifyRequest<Query>, command: string, args: string[]) {
  const { spawn } = request.query
  if (spawn === undefined) return undefined
  return request.spawn(command, args, { stdio: spawn === 'piped' ? 'pipe' : 'ignore' })
}

app.get<Query>('/finishes', async (request) => {
  const child = start(request, 'true', [])
  if (child !== undefined) await once(child, 'close')
  return 'answer'
})
app.get<Query>('/late', { config: { subprocessGuard: { timeout: 50 } } }, async (request) => {
  start(request, 'sleep', ['1000'])
  await never()
})
app.get<Query>('/left', async (request) => {
  start(request, 'sleep', ['1000'])
  await never()
})
app.get('/figures', async (): Promise<WorkerFigures> => {
  // A second collection frees what the first one has finalized.
  for (let round = 0; round < 2; round++) {
    globalThis.gc?.()
    await new Promise((resolve) => setImmediate(resolve))
  }
  const { rss, heapUsed, external } = process.memoryUsage()
  return {
    residentBytes: rss,
    heapBytes: heapUsed + external,
    listeners:
      listenersOf(process) + listenersOf(app.server) + Math.max(...[...connections].map(listenersOf)),
    connections: connections.size,
    openScopes: app.subprocessGuard.scopes().length,
    warnings
  }
})

function listenersOf(emitter: EventEmitter): number {
  return emitter.eventNames().reduce((sum, name) => sum + emitter.listenerCount(name), 0)
}

await app.listen({ port: 0, host: '127.0.0.1' })
const { port } = app.server.address() as AddressInfo
process.send?.({ port, keeper: app.subprocessGuard.keeper })
// The test has ended.
process.once('disconnect', () => process.exit())
