/** How a route that starts commands affects the latency of a cheap route, for servers of several sizes. */

import { get } from 'node:http'
import { setTimeout as pause } from 'node:timers/promises'
import { Actor } from './harness/actor.js'
import { Benchmark, ensure } from './harness/benchmark.js'
import type { Contestant } from './harness/contestants.js'
import { sizes } from './harness/sizes.js'
import { takeTurns } from './harness/turns.js'

const benchmark = new Benchmark(
  'latency',
  'A cheap route, while another route of the same worker starts 50 commands a second.'
)
const { short } = benchmark.settings
const contestants: Contestant[] = ['guard', 'child_process']
const rounds = short ? 1 : 5
const phaseMs = short ? 300 : 1_000
const cheapEveryMs = 2.5
const spawnEveryMs = 20
const cases = 'resident memory of the worker'
const figures = benchmark.figures('latency of the cheap route', 'ms', { scale: 'log', cases })

/** Sends a request. Resolves with the time until the end of the response, in ms. */
function ask(port: number, path: string, expected: string): Promise<number> {
  const startedAt = performance.now()
  return new Promise((resolve, reject) => {
    get({ port, path, agent: false }, (response) => {
      let body = ''
      response.setEncoding('utf8').on('data', (text) => {
        body += text
      })
      response.once('end', () => {
        const isRight = response.statusCode === 200 && body === expected
        if (isRight) resolve(performance.now() - startedAt)
        else reject(new Error(`${path} answered ${response.statusCode} ${body}`))
      })
    }).once('error', reject)
  })
}

/**
 * Requests the cheap route of one server at a steady rate, without waiting for responses: a client that waits
 * does not see how many requests were delayed. Meanwhile the server on the port `spawning`, if given, starts
 * commands.
 */
async function phase(port: number, spawning?: number): Promise<number[]> {
  const cheap: Promise<number>[] = []
  const spawns: Promise<number>[] = []
  const startedAt = performance.now()
  for (let elapsed = 0; elapsed < phaseMs; elapsed = performance.now() - startedAt) {
    while (cheap.length * cheapEveryMs <= elapsed) cheap.push(ask(port, '/cheap', 'cheap'))
    while (spawning !== undefined && spawns.length * spawnEveryMs <= elapsed) {
      spawns.push(ask(spawning, '/spawn', 'hi\n'))
    }
    await pause(1)
  }
  await Promise.all(spawns)
  return Promise.all(cheap)
}

interface Server {
  readonly name: Contestant
  readonly actor: Actor
  readonly port: number
}

async function start(name: Contestant, megabytes: number): Promise<Server> {
  const actor = await Actor.start('cheap-server', [name, String(megabytes)])
  return { name, actor, port: await actor.ask<number>('listen') }
}

// Shows what starting commands costs every process on the machine, including the client.
const other = await start('guard', 50)

for (const size of sizes.filter(({ kind }) => kind === 'buffers')) {
  const servers: Server[] = []
  try {
    for (const name of contestants) servers.push(await start(name, size.megabytes))
    await takeTurns(servers, rounds, async ({ name, port }, _round, isWarmUp) => {
      const phases: [Contestant, number?][] = [[name, port]]
      if (name === 'guard') phases.unshift(['no spawns'], ['guard, another worker', other.port])
      for (const [of, spawning] of phases) {
        const latencies = await phase(port, spawning)
        if (!isWarmUp) figures.add(of, size.name, ...latencies)
      }
    })
    for (const { name, actor } of servers) {
      const spawned = await actor.ask<number>('spawned')
      ensure(spawned >= (rounds * phaseMs) / spawnEveryMs, `${name} has started ${spawned} commands`)
    }
  } finally {
    await Promise.all(servers.map(({ actor }) => actor.end()))
  }
  const more = figures.summary('guard', size.name).p99 - figures.summary('no spawns', size.name).p99
  benchmark.aim(`p99 of guard, above that without spawns, at ${size.name}`, more, 'ms', { atMost: 2 })
}
await other.actor.end()
benchmark.note(
  '"guard, another worker": another worker starts the commands, so the cheap route only notices their load on the machine'
)
benchmark.report()
