/** How much processor time a server needs for each pipelined request of one connection (FAULTS 62). */

import type { Pipelined } from './actors/pipeliner.js'
import { Actor } from './harness/actor.js'
import { Benchmark, type Figures } from './harness/benchmark.js'
import type { Contestant } from './harness/contestants.js'
import { takeTurns } from './harness/turns.js'

interface Spent {
  readonly processorMs: number
}

interface Server {
  readonly name: Contestant
  readonly actor: Actor
  readonly port: number
}

const title = 'What the guard costs requests that are pipelined on one connection.'
const benchmark = new Benchmark('pipeline', title)
const { short } = benchmark.settings
const rounds = short ? 1 : 7
const body = '{"hello":"world"}'
const lengths = short ? [100, 1_000] : [1_000, 20_000]
const [fewest = 0, most = 0] = lengths
const figures = benchmark.figures('processor time of the server for each request', 'µs', {
  cases: 'requests on the connection'
})

/** Sends that many requests on one connection. */
async function measure({ name, actor, port }: Server, client: Actor, count: number, into?: Figures) {
  const before = await actor.ask<Spent>('spent')
  await client.ask<Pipelined>('pipeline', port, count, body)
  const after = await actor.ask<Spent>('spent')
  const microseconds = ((after.processorMs - before.processorMs) * 1_000) / count
  into?.add(name, count.toLocaleString('en'), microseconds)
}

const client = await Actor.start('pipeliner')
const servers: Server[] = []
try {
  for (const name of ['no guard', 'guard'] as const) {
    const actor = await Actor.start('server', ['fastify', name])
    servers.push({ name, actor, port: await actor.ask('port') })
  }
  await takeTurns(
    servers,
    rounds,
    async (server, _round, isWarmUp) => {
      for (const count of lengths) await measure(server, client, count, isWarmUp ? undefined : figures)
    },
    short ? 1 : 2
  )
} finally {
  await Promise.all([client, ...servers.map(({ actor }) => actor)].map((actor) => actor.end()))
}
const caseOf = (count: number): string => count.toLocaleString('en')
benchmark.aim(
  `guard / no guard, ${caseOf(most)} requests`,
  figures.ratio('guard', 'no guard', caseOf(most)),
  '',
  {
    atMost: 1.5
  }
)
const growth = figures.ratio('guard', 'guard', caseOf(most), caseOf(fewest))
benchmark.aim(`guard: a request of ${caseOf(most)} / one of ${caseOf(fewest)}`, growth, '', { atMost: 1.5 })
const bare = figures.ratio('no guard', 'no guard', caseOf(most), caseOf(fewest))
benchmark.note(`no guard: a request of ${caseOf(most)} / one of ${caseOf(fewest)}: ${bare.toFixed(2)}`)
benchmark.report()
