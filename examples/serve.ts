/**
 * The server of the deployment examples: `POST /convert` compresses its body with a command, `GET /hang`
 * starts a command that never ends, `GET /block` blocks the event loop forever, `GET /health` is for health
 * checks.
 */

import Fastify, { type FastifyInstance } from 'fastify'
import subprocessGuard from 'fastify-subprocess-guard'

const drain = Number(process.env.DRAIN_MS ?? 5_000)
const grace = Number(process.env.GRACE_MS ?? 2_000)

/**
 * The maximum time of a shutdown, in ms: `drain` for requests in flight, `grace` for their remaining
 * processes, and one second to prove that all of them have ended. The process manager must wait longer before
 * SIGKILL.
 */
export const stopWithinMs = drain + grace + 1_000

/** Resolves with the server when it listens. SIGTERM and SIGINT close it, with exit status 0. */
export async function serve(): Promise<FastifyInstance> {
  const app = Fastify({ logger: process.env.LOG !== 'off' })
  await app.register(subprocessGuard, {
    timeout: 30_000,
    grace,
    drain,
    // A worker that is blocked for this long is ended. The process manager starts the next one.
    workerTimeout: Number(process.env.WORKER_TIMEOUT_MS ?? 10_000)
  })

  // Don't parse the body: it is piped to the command.
  app.addContentTypeParser('*', (_request, body, done) => done(null, body))
  app.post('/convert', async (request, reply) => {
    reply.type('application/gzip')
    return request.subprocesses.stream('gzip', ['-c'], {
      input: request.body as NodeJS.ReadableStream as never
    })
  })
  app.get('/hang', (request) => {
    request.spawn('sh', ['-c', 'trap "" INT TERM; sleep 1000 & sleep 1000'], { stdio: 'ignore' })
    return new Promise(() => {})
  })
  // A deliberate bug, to show what happens to a blocked worker.
  app.get('/block', (request) => {
    request.spawn('sleep', ['1000'], { stdio: 'ignore' })
    for (;;);
  })
  app.get('/health', { config: { subprocessGuard: false } }, async () => ({ worker: process.pid }))

  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => void stop(app))
  await app.listen({ host: process.env.HOST ?? '127.0.0.1', port: Number(process.env.PORT ?? 3000) })
  return app
}

/** Closes the server and ends its process. May be called again while it is closing. */
export async function stop(app: FastifyInstance): Promise<void> {
  await app.close()
  process.exit()
}
