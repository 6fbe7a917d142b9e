/** The worker: a Fastify server with two routes that start the program, with or without the guard. */

import { type ChildProcess, spawn } from 'node:child_process'
import type { AddressInfo } from 'node:net'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import Fastify, { type FastifyReply, type FastifyRequest } from 'fastify'
import subprocessGuard from 'fastify-subprocess-guard'
import { markName } from './processes.js'
import { computingProcesses } from './program.js'
import { graceMs, longTimeoutMs, type WorkerMessage, type WorkerSettings } from './settings.js'

const { isGuarded, timeoutMs, program } = JSON.parse(process.argv[2] ?? '') as WorkerSettings
const app = Fastify({ logger: true, requestIdHeader: 'x-request-id' })

if (isGuarded) {
  await app.register(subprocessGuard, { timeout: timeoutMs, grace: graceMs })
  app.get('/primes', countGuarded)
  app.get('/report', { config: { subprocessGuard: { timeout: longTimeoutMs } } }, countGuarded)
} else {
  app.get('/primes', (request, reply) => countAsUsual(request, reply, timeoutMs))
  app.get('/report', (request, reply) => countAsUsual(request, reply, longTimeoutMs))
}

async function countGuarded(request: FastifyRequest): Promise<object> {
  const child = request.spawn(program.file, program.args, optionsFor(request))
  return resultOf(child, request)
}

/** What servers usually do: kill the child at the deadline and when the client leaves. */
async function countAsUsual(request: FastifyRequest, reply: FastifyReply, ms: number): Promise<object> {
  const child = spawn(program.file, program.args, optionsFor(request))
  const timer = setTimeout(() => {
    child.kill()
    reply.code(503).send({ error: 'timed out' })
  }, ms)
  reply.raw.once('close', () => {
    clearTimeout(timer)
    child.kill()
  })
  return resultOf(child, request)
}

function optionsFor(request: FastifyRequest) {
  const env = { ...process.env, [markName]: request.id }
  return { env, stdio: ['ignore', 'pipe', 'inherit'] as ['ignore', 'pipe', 'inherit'] }
}

async function resultOf({ stdout }: Pick<ChildProcess, 'stdout'>, request: FastifyRequest): Promise<object> {
  let computing = 0
  for await (const line of createInterface({ input: stdout as Readable })) {
    if (!line.startsWith('computing ')) return { primes: Number(line) }
    if (++computing === computingProcesses) send({ type: 'computing', request: request.id })
  }
  throw new Error('the program ended without a result')
}

function send(message: WorkerMessage): void {
  process.send?.(message)
}

await app.listen({ host: '127.0.0.1', port: 0 })
send({
  type: 'ready',
  port: (app.server.address() as AddressInfo).port,
  keeper: isGuarded ? app.subprocessGuard.keeper : undefined,
  containment: isGuarded ? app.subprocessGuard.containment : undefined
})
