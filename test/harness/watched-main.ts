/** A worker whose main thread blocks in many ways, each until a file exists. A thread watches it, or not. */

import { execFileSync } from 'node:child_process'
import { pbkdf2Sync } from 'node:crypto'
import { existsSync, writeSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import express from 'express'
import Fastify, { type FastifyRequest } from 'fastify'
import type * as RouteLookup from '../../lib/watch/route-lookup.js'
import type * as Watching from '../../lib/watch/watch-thread.js'
import { compiled, keeperFile } from './compiled.js'

// Not public: loads the compiled files.
const { registerRouteLookup }: typeof RouteLookup = await compiled('watch/route-lookup')
const { WatchThread }: typeof Watching = await compiled('watch/watch-thread')

const [, , path = '', header = '', releaseFile = '', answerer] = process.argv

const requests = new WeakMap<object, string>()
registerRouteLookup((value) =>
  typeof value === 'object' && value !== null ? requests.get(value) : undefined
)

/** The last line that this thread prints before it blocks. */
function announce(): void {
  writeSync(1, 'blocks\n')
}

function isReleased(): boolean {
  return existsSync(releaseFile)
}

function loop(): void {
  announce()
  while (!isReleased());
}

/** Blocks deep below a handler, in frames that do not hold the request. */
function loopDeepBelow(depth: number): void {
  if (depth === 0) loop()
  else loopDeepBelow(depth - 1)
  // Code after the call keeps this a frame of its own.
  if (depth < 0) announce()
}

const blocks: Record<string, (request: object) => unknown> = {
  sync: (_request) => loop(),
  async async(request: object) {
    await new Promise((resolve) => setTimeout(resolve, 1))
    loop()
    return request
  },
  below: (_request) => loopDeepBelow(20),
  deep: (_request) => loopDeepBelow(300),
  'too-deep': (_request) => loopDeepBelow(1_500),
  callback: (request) =>
    new Promise<void>((resolve) => {
      setTimeout(() => {
        loop()
        resolve(request && undefined)
      }, 1)
    }),
  regex(_request) {
    announce()
    // Each additional `a` doubles the time. The first ones take no time.
    for (let length = 10; !isReleased(); length++) /^(a+)+$/.test(`${'a'.repeat(Math.min(length, 24))}!`)
  },
  'atomics-wait'(_request) {
    announce()
    const shared = new Int32Array(new SharedArrayBuffer(4))
    while (!isReleased()) Atomics.wait(shared, 0, 0, 1_000)
  },
  command(_request) {
    announce()
    try {
      execFileSync('sleep', ['1000'])
    } catch {
      // The test kills it.
    }
  },
  commands(_request) {
    announce()
    while (!isReleased()) execFileSync('true')
  },
  native(_request) {
    announce()
    pbkdf2Sync('password', 'salt', 1_000_000, 64, 'sha512')
  },
  'debugger-statement'(_request) {
    announce()
    // biome-ignore lint/suspicious/noDebugger: what it does here is the question
    while (!isReleased()) debugger
  },
  'one-debugger-statement'(_request) {
    announce()
    // biome-ignore lint/suspicious/noDebugger: what it does here is the question
    debugger
  }
}

const app = Fastify()
app.addHook('onRequest', async (request) => {
  requests.set(request, `${request.method} ${request.routeOptions.url}`)
})
app.get('/ping', async () => 'pong')
app.get('/fastify-async/:block', async (request: FastifyRequest<{ Params: { block: string } }>) => {
  await blocks[request.params.block]?.(request)
  return 'done'
})
app.get('/fastify-sync/:block', (request: FastifyRequest<{ Params: { block: string } }>, reply) => {
  blocks[request.params.block]?.(request)
  reply.send('done')
})
await app.listen({ port: 0, host: '127.0.0.1' })

const expressApp = express()
expressApp.get('/express/:block', async (req, res) => {
  requests.set(req, `${req.method} ${req.route.path}`)
  await blocks[req.params.block]?.(req)
  res.send('done')
})
const expressServer = expressApp.listen(0, '127.0.0.1')

const httpServer = createServer(async (req: IncomingMessage, res) => {
  requests.set(req, `${req.method} of node:http`)
  await blocks[req.url?.split('/').at(-1) ?? '']?.(req)
  res.end('done')
})
await new Promise<void>((resolve) => httpServer.listen(0, '127.0.0.1', resolve))

if (answerer === 'thread') {
  const watcher = WatchThread.start(keeperFile, (why) => writeSync(1, `unwatched ${why}\n`))
  watcher.connect(path, header)
  process.on('SIGHUP', () => watcher.connect(path, header))
  process.on('SIGUSR2', () => watcher.stop())
} else {
  // The obvious way, for the negative control: the main thread itself answers.
  const socket = connect(path)
  socket.write(header)
  socket.on('data', () => {
    socket.write(`${JSON.stringify({ type: 'stack', stack: new Error('here').stack })}\n`)
  })
}

const portOf = (server: Server): number => (server.address() as AddressInfo).port
const ports = { fastify: portOf(app.server), express: portOf(expressServer), http: portOf(httpServer) }
writeSync(1, `ports ${JSON.stringify(ports)}\n`)
