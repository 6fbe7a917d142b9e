/** Sends requests at a fixed rate, or on a fixed number of connections, and measures each answer. */

import { once } from 'node:events'
import { Agent, type IncomingMessage, request } from 'node:http'
import { performance } from 'node:perf_hooks'
import { setTimeout as wait } from 'node:timers/promises'
import { act } from '../harness/actor.js'
import { ensure } from '../harness/benchmark.js'

/** What came of requests at a fixed rate. */
export interface Answered {
  /** The requests that were sent in a second. */
  readonly sentPerSecond: number
  readonly servedPerSecond: number
  /** From sending each request to the end of its answer, in ms. */
  readonly servedMs: readonly number[]
  readonly refusedMs: readonly number[]
  /** The same of requests, a few among the others, to a route that does nothing. */
  readonly idleMs: readonly number[]
}

interface Answer {
  readonly status: number
  readonly ms: number
}

// More would not fit into the backlog of a server that is busy. Requests beyond that wait for one, which counts.
const mostConnections = 100
const answeredWithinMs = 30_000
const idlePath = '/nothing'
// One of so many requests.
const idleShare = 20
const served = '{"done":true}'

async function ask(port: number, path: string, agent: Agent): Promise<Answer> {
  const startedAt = performance.now()
  const asked = request({
    host: '127.0.0.1',
    port,
    path,
    agent,
    signal: AbortSignal.timeout(answeredWithinMs)
  })
  asked.end()
  const [response] = (await once(asked, 'response')) as [IncomingMessage]
  let body = ''
  response.setEncoding('utf8').on('data', (text) => {
    body += text
  })
  await once(response, 'end')
  const ms = performance.now() - startedAt
  const { statusCode: status = 0, headers } = response
  const isRight = status === 200 ? body === served : status === 503 && headers['retry-after'] !== undefined
  ensure(isRight, `the answer is ${status} ${body}`)
  return { status, ms }
}

act({
  /** Sends `perSecond` requests a second, whether or not there are answers, for `ms`. */
  async atRate(port: number, path: string, perSecond: number, ms: number): Promise<Answered> {
    const agent = new Agent({ keepAlive: true, maxSockets: mostConnections })
    const answers: Promise<Answer>[] = []
    const idle: Promise<Answer>[] = []
    const count = Math.round((perSecond * ms) / 1_000)
    const startedAt = performance.now()
    while (answers.length < count) {
      const due = Math.min(count, Math.floor(((performance.now() - startedAt) * perSecond) / 1_000) + 1)
      while (answers.length < due) {
        answers.push(ask(port, path, agent))
        if (answers.length % idleShare === 0) idle.push(ask(port, idlePath, agent))
      }
      await wait(1)
    }
    const sentMs = performance.now() - startedAt
    const all = await Promise.all(answers)
    const idleMs = (await Promise.all(idle)).map(({ ms }) => ms)
    const untilLastMs = performance.now() - startedAt
    agent.destroy()
    const of = (wanted: number): number[] => all.filter(({ status }) => status === wanted).map(({ ms }) => ms)
    const servedMs = of(200)
    return {
      sentPerSecond: (count / sentMs) * 1_000,
      servedPerSecond: (servedMs.length / untilLastMs) * 1_000,
      servedMs,
      refusedMs: of(503),
      idleMs
    }
  },

  /** Sends that many requests on so many connections, each after the answer to the one before. Per second. */
  async onConnections(port: number, path: string, count: number, connections: number) {
    const agent = new Agent({ keepAlive: true, maxSockets: connections })
    let left = count
    const lane = async (): Promise<void> => {
      while (left-- > 0) {
        const { status } = await ask(port, path, agent)
        ensure(status === 200, `a request was answered with ${status}`)
      }
    }
    const startedAt = performance.now()
    await Promise.all(Array.from({ length: connections }, lane))
    const ms = performance.now() - startedAt
    agent.destroy()
    return (count / ms) * 1_000
  }
})
