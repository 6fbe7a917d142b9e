/** A route with a limit of its commands and of its queue, at ten times its capacity and at half of it. */

import type { Answered } from '../actors/steady-load.js'
import { Actor } from '../harness/actor.js'
import { type Benchmark, ensure } from '../harness/benchmark.js'
import { quantile } from '../harness/statistics.js'
import { figure } from '../harness/table.js'
import { takeTurns } from '../harness/turns.js'

const contestants = ['guard', 'p-queue'] as const
const concurrency = 4
const shortestCommandMs = 50
const most = (concurrency / shortestCommandMs) * 1_000
// What remains is for the commands, and for refusals, which cost more than an answer.
const shareForRequests = 0.2
const leastSent = 0.95

export async function measureOverload(benchmark: Benchmark): Promise<void> {
  const { short } = benchmark.settings
  const [rounds, ms] = short ? [1, 2_000] : [2, 8_000]
  const cases = 'requests a second'
  const served = benchmark.figures('served in a second', 'requests/s', { cases })
  const latencies = benchmark.figures('latency of what is served', 'ms', { cases })
  const refusals = benchmark.figures('time until a refusal', 'ms', { scale: 'log' })
  const idle = benchmark.figures('time until the answer of a route that does nothing, meanwhile', 'ms', {
    scale: 'log'
  })
  const spent = benchmark.figures(
    'processor time of the server for each request, at ten times the capacity',
    'ms'
  )
  const sent: number[] = []
  const refusedAtHalf = { guard: 0, 'p-queue': 0 }
  const load = await Actor.start('steady-load')
  const capacity = Math.min(most, (await possiblePerSecond(load)) / 10)
  const commandMs = Math.round((concurrency / capacity) * 1_000)
  const loads = { 'ten times the capacity': 10 * capacity, 'half the capacity': capacity / 2 }
  const servers = await Promise.all(
    contestants.map(async (name) => {
      const actor = await Actor.start('limited-server', [name, String(commandMs)])
      return { name, actor, port: await actor.ask<number>('port') }
    })
  )
  try {
    await takeTurns(servers, rounds, async ({ name, actor, port }, _round, isWarmUp) => {
      for (const [label, perSecond] of Object.entries(loads)) {
        const forMs = isWarmUp ? 500 : ms
        const spentBefore = await actor.ask<number>('spentMs')
        const answered = await load.ask<Answered>('atRate', port, '/refusing', perSecond, forMs)
        const { servedMs, refusedMs } = answered
        ensure(Math.min(...servedMs) >= commandMs, `${name} has answered before its command has ended`)
        if (isWarmUp) continue
        served.add(name, label, answered.servedPerSecond)
        latencies.add(name, label, ...servedMs)
        if (label === 'half the capacity') {
          refusedAtHalf[name] += refusedMs.length
          continue
        }
        ensure(refusedMs.length > servedMs.length, `${name} has refused only ${refusedMs.length} requests`)
        refusals.add(name, '', ...refusedMs)
        idle.add(name, '', ...answered.idleMs)
        const spentMs = (await actor.ask<number>('spentMs')) - spentBefore
        spent.add(name, '', spentMs / (servedMs.length + refusedMs.length))
        sent.push(answered.sentPerSecond)
      }
    })
  } finally {
    await Promise.all([load, ...servers.map(({ actor }) => actor)].map((actor) => actor.end()))
  }
  const { median, p99 } = refusals.summary('guard')
  benchmark.aim('refusal at ten times the capacity, median', median, 'ms', { atMost: 5 })
  // The rest is what a busy machine does to every answer.
  const beyondIdle = p99 - idle.summary('guard').p99
  benchmark.aim('refusal, p99, beyond that of a route that does nothing', beyondIdle, 'ms', { atMost: 5 })
  benchmark.note(`refusal at ten times the capacity, p99: ${figure(p99)} ms`)
  const ratio = served.ratio('guard', 'p-queue', 'ten times the capacity')
  benchmark.note(`overload, served in a second, guard / p-queue: ${ratio.toFixed(3)}`)
  const least = Math.min(...sent)
  const wanted = loads['ten times the capacity']
  const isLess = least < leastSent * wanted
  benchmark.note(
    `overload: ${figure(quantile(sent, 0.5))} requests were sent in a second${isLess ? `, in one round only ${figure(least)}` : ''}; ${figure(capacity)} is the most that four commands at once of ${commandMs} ms can serve`
  )
  for (const [name, count] of Object.entries(refusedAtHalf)) {
    if (count === 0) continue
    benchmark.note(`${name} has refused ${count} requests at half the capacity: the machine was busy`)
  }
  benchmark.note('p-queue: with execa, pidusage every 100 ms, and a refusal by hand, on bare Fastify')
}

/** A slow machine cannot even refuse 800 requests a second: there, the command is longer, and the load is less. */
async function possiblePerSecond(load: Actor): Promise<number> {
  const server = await Actor.start('limited-server', ['guard'])
  const port = await server.ask<number>('port')
  let perSecond = 0
  // The first is for the compiler.
  for (const count of [200, 600])
    perSecond = await load.ask<number>('onConnections', port, '/nothing', count, 10)
  await server.end()
  return shareForRequests * perSecond
}
