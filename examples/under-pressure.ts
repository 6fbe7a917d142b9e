/**
 * A server that sheds load with `@fastify/under-pressure`: it answers 503 while too many commands wait, or while
 * its subprocesses use too much memory. `POST /sort` sorts the lines of its body, `GET /status` is for load
 * balancers.
 *
 * npm run --silent build && PORT=3000 node build/examples/under-pressure.js
 */

import underPressure from '@fastify/under-pressure'
import Fastify from 'fastify'
import subprocessGuard from 'fastify-subprocess-guard'

const limits = { concurrency: 4, queue: 20 }
const maxMemoryBytes = Number(process.env.MAX_MEMORY_BYTES ?? 512 * 1024 ** 2)

const app = Fastify()

// First: the health check runs once when under-pressure is registered.
await app.register(subprocessGuard, { timeout: 30_000, limits })
await app.register(underPressure, {
  healthCheck: async () => {
    const { load } = app.subprocessGuard
    if (load.waiting > limits.queue / 2) return false
    const { memoryBytes } = await app.subprocessGuard.usage()
    return memoryBytes <= maxMemoryBytes
  },
  healthCheckInterval: 500,
  exposeStatusRoute: '/status',
  // Seconds, sent as the header Retry-After.
  retryAfter: 5
})

// Don't parse the body: it is piped to the command.
app.removeAllContentTypeParsers()
app.addContentTypeParser('*', (_request, body, done) => done(null, body))
app.post<{ Body: NodeJS.ReadableStream }>('/sort', async (request, reply) => {
  reply.type('text/plain')
  // sort(1) keeps up to 256 MB in memory.
  return request.subprocesses.stream('sort', ['-S', '256M'], { input: request.body })
})

for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => void app.close())
await app.listen({ host: '127.0.0.1', port: Number(process.env.PORT ?? 3000) })
console.log('listening')
