/** The throughput of a route whose commands wait for their turn, beside one that never has more than it can run. */

import { Actor } from '../harness/actor.js'
import type { Benchmark } from '../harness/benchmark.js'
import { takeTurns } from '../harness/turns.js'

const of = '`sleep 0.05`, four at once'
const turns = [
  { name: 'guard', path: '/queued', connections: 200 },
  { name: 'guard, no limits', path: '/free', connections: 4 }
] as const

export async function measureQueue(benchmark: Benchmark): Promise<void> {
  const { short } = benchmark.settings
  const [rounds, count] = short ? [1, 300] : [2, 2_000]
  const figures = benchmark.figures('requests served in a second', 'requests/s', { cases: 'the command' })
  const load = await Actor.start('steady-load')
  const server = await Actor.start('limited-server', ['guard'])
  try {
    const port = await server.ask<number>('port')
    await takeTurns(turns, rounds, async ({ name, path, connections }, _round, isWarmUp) => {
      const requests = isWarmUp ? connections : count
      const perSecond = await load.ask<number>('onConnections', port, path, requests, connections)
      if (!isWarmUp) figures.add(name, of, perSecond)
    })
  } finally {
    await Promise.all([load.end(), server.end()])
  }
  const ratio = figures.ratio('guard', 'guard, no limits', of)
  benchmark.aim('200 connections with a queue / 4 connections without', ratio, '', { atLeast: 0.95 })
  benchmark.note('queue: the guard has 200 connections and `concurrency: 4`, the same without limits has 4')
}
