/** A server with one route that starts no subprocess. Arguments: framework, contestant. */

import { once } from 'node:events'
import type { Server } from 'node:http'
import { Session } from 'node:inspector/promises'
import type { AddressInfo } from 'node:net'
import { performance } from 'node:perf_hooks'
import connectTimeout from 'connect-timeout'
import express, { type Express } from 'express'
import Fastify, { type FastifyInstance } from 'fastify'
import racing from 'fastify-racing'
import fastifyGuard from 'fastify-subprocess-guard'
import { subprocessGuard } from 'fastify-subprocess-guard/express'
import { act } from '../harness/actor.js'

const [framework = '', contestant = ''] = process.argv.slice(2)

/** How the server spent its time. */
export interface Profile {
  readonly busyMs: number
  readonly collectorMs: number
  /** The guard's own functions, most expensive first, without the functions that they call. */
  readonly own: readonly { readonly name: string; readonly ms: number }[]
}

const timeoutMs = 30_000
const samplingUs = 200
const ownFolder = new URL('.', import.meta.resolve('fastify-subprocess-guard')).href
const answer = { hello: 'world' }

const fastifyApps: Record<string, () => Promise<FastifyInstance>> = {
  'no guard': async () => answering(Fastify()),
  guard: async () => {
    const app = Fastify()
    await app.register(fastifyGuard)
    return answering(app)
  },
  // The least that a plugin with a hook for each request can cost.
  'empty hook': async () => {
    const app = Fastify()
    app.addHook('onRequest', (_request, _reply, done) => done())
    return answering(app)
  },
  handlerTimeout: async () => answering(Fastify({ handlerTimeout: timeoutMs })),
  'fastify-racing': async () => {
    const app = Fastify()
    await app.register(racing.default)
    // As in its README. It reports that the client has left, and has no deadline.
    const work = async (_signal: AbortSignal): Promise<object> => answer
    app.get('/', async (request) => {
      const signal = request.race()
      const result = await Promise.race([signal, work(signal)])
      return (result as { type?: string }).type === 'abort' ? '' : result
    })
    return app
  }
}

function answering(app: FastifyInstance): FastifyInstance {
  return app.get('/', async () => answer)
}

/** Each prepares an app for its route, and returns a function to close what it has opened. */
const expressUses: Record<string, (app: Express) => Promise<() => unknown>> = {
  'no guard': async () => () => {},
  guard: async (app) => {
    const guard = subprocessGuard()
    app.use(guard)
    await guard.ready
    return () => guard.close()
  },
  'empty hook': async (app) => {
    app.use((_req, _res, next) => next())
    return () => {}
  },
  'connect-timeout': async (app) => {
    app.use(connectTimeout(`${timeoutMs}ms`))
    return () => {}
  }
}

const startOf: Record<string, () => Promise<Server>> = {
  async fastify() {
    const app = (await fastifyApps[contestant]?.()) as FastifyInstance
    await app.listen({ host: '127.0.0.1', port: 0 })
    process.once('disconnect', () => app.close())
    return app.server
  },
  async express() {
    const app = express()
    const close = await expressUses[contestant]?.(app)
    app.get('/', (_req, res) => {
      res.json(answer)
    })
    const server = app.listen(0, '127.0.0.1')
    await once(server, 'listening')
    process.once('disconnect', () => {
      server.close()
      close?.()
    })
    return server
  }
}

const inspector = new Session()

async function startProfile(): Promise<void> {
  inspector.connect()
  await inspector.post('Profiler.enable')
  await inspector.post('Profiler.setSamplingInterval', { interval: samplingUs })
  await inspector.post('Profiler.start')
}

async function stopProfile(): Promise<Profile> {
  const { profile } = await inspector.post('Profiler.stop')
  inspector.disconnect()
  const { nodes, samples = [], timeDeltas = [] } = profile
  const frames = new Map(nodes.map(({ id, callFrame }) => [id, callFrame]))
  const own = new Map<string, number>()
  let [busyMs, collectorMs] = [0, 0]
  for (const [index, id] of samples.entries()) {
    const { functionName: name = '', url = '' } = frames.get(id) ?? {}
    const ms = (timeDeltas[index] as number) / 1_000
    if (name === '(idle)') continue
    busyMs += ms
    if (name === '(garbage collector)') collectorMs += ms
    if (url.startsWith(ownFolder)) own.set(name, (own.get(name) ?? 0) + ms)
  }
  const costliest = [...own].map(([name, ms]) => ({ name, ms })).sort((a, b) => b.ms - a.ms)
  return { busyMs, collectorMs, own: costliest }
}

const server = (await startOf[framework]?.()) as Server

act({
  /** Profiles until `profiled`, which returns the profile. */
  profile: startProfile,
  profiled: stopProfile,

  port: () => (server.address() as AddressInfo).port,

  /** Since the start of the process: the busy time of its event loop and its processor time, in ms. */
  spent() {
    const { user, system } = process.cpuUsage()
    return { busyMs: performance.eventLoopUtilization().active, processorMs: (user + system) / 1_000 }
  }
})
