/** A server whose routes start trees of processes, with the guard or without it. */

import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import Fastify, { type FastifyRequest } from 'fastify'
import subprocessGuard from 'fastify-subprocess-guard'
import type { ServerMessage, ServerSettings } from './server.js'
import type { Shape, Taken } from './takes-main.js'
import { tellWitness } from './witness.js'

const { isGuarded, options, deadlineMs } = JSON.parse(process.argv[2] ?? '') as ServerSettings
const tree = fileURLToPath(new URL('tree-main.js', import.meta.url))
const takes = fileURLToPath(new URL('takes-main.js', import.meta.url))
const app = Fastify({ logger: { level: 'info' } })
const released = new Map<string, () => void>()

interface Query {
  readonly name: string
}

if (isGuarded) await app.register(subprocessGuard, options)

/** Starts a tree. Resolves with the status of its leader. */
function startTree(request: FastifyRequest): Promise<number | string | null> {
  const { name } = request.query as Query
  const args = [tree, name]
  const child: ChildProcess = isGuarded
    ? request.spawn(process.execPath, args, { stdio: 'ignore' })
    : spawn(process.execPath, args, { stdio: 'ignore' })
  child.on('error', () => {})
  return new Promise((resolve) => child.once('close', (code, signal) => resolve(signal ?? code)))
}

/** Resolves when the test sends a request to /go. */
function told({ query }: FastifyRequest): Promise<void> {
  return new Promise((resolve) => released.set((query as Query).name, resolve))
}

function block(): void {
  for (;;);
}

app.get('/go', async ({ query }) => {
  released.get((query as Query).name)?.()
  return 'gone'
})
app.get('/waits', async (request) => ({ end: await startTree(request) }))
app.get('/waits-briefly', { config: { subprocessGuard: { timeout: deadlineMs } } }, async (request) => ({
  end: await startTree(request)
}))
app.get('/leaves', async (request) => {
  void startTree(request)
  await told(request)
  return 'done'
})
app.get('/blocks', { config: { subprocessGuard: { timeout: deadlineMs } } }, async (request) => {
  void startTree(request)
  await told(request)
  block()
  return 'done'
})
app.get('/hangs-in-child', async (request) => {
  execFileSync(process.execPath, [tree, (request.query as Query).name], { stdio: 'ignore' })
})
app.get('/forks', async (request) => {
  const { name } = request.query as Query
  const child = request.subprocesses.fork(tree, [name], { stdio: 'ignore' })
  await told(request)
  return { pid: child.pid }
})
app.get('/adopts', async (request) => {
  const { name } = request.query as Query
  const child = spawn(process.execPath, [tree, name], { stdio: 'ignore' })
  await told(request)
  request.subprocesses.adopt(child)
  // An answer of the keeper: it has adopted the process.
  return request.subprocesses.list()
})
app.get('/releases', async (request) => {
  const { name } = request.query as Query
  const child = request.spawn(process.execPath, [tree, name], { stdio: 'ignore' })
  await told(request)
  try {
    request.subprocesses.release(child)
  } catch (error) {
    return { refused: (error as Error).message }
  }
  return { listed: (await request.subprocesses.list()).length }
})
/** More than what Node.js and three of its processes need, and little enough to be exceeded soon. */
const limits = { memory: 600e6, cpu: 8_000, processes: 5 } satisfies Record<Taken, number>
for (const [what, value] of Object.entries(limits)) {
  const config = { subprocessGuard: { limits: { [what]: value } } }
  app.get(`/exceeds-${what}`, { config }, async (request) => {
    const { name, shape } = request.query as Query & { readonly shape: Shape }
    const child = request.spawn(process.execPath, [takes, what, shape, name], {
      stdio: ['ignore', 'ignore', 'inherit']
    })
    return new Promise((resolve) => child.once('close', (code, signal) => resolve(signal ?? code)))
  })
}
app.get('/echoes', async (request) => (await request.subprocesses.exec('echo said')).stdout)
app.get('/exits', async () => process.exit(3))
app.get('/throws', async () => {
  setImmediate(() => {
    throw new Error('as planned')
  })
})

tellWitness('server')
await app.listen({ host: '127.0.0.1', port: 0 })
const { port } = app.server.address() as AddressInfo
const { keeper = 0, containment = 'none' } = isGuarded ? app.subprocessGuard : {}
process.send?.({ port, keeper, containment } satisfies ServerMessage)
process.on('message', () => {
  app.close().then(
    () => process.disconnect(),
    () => process.exit(1)
  )
})
