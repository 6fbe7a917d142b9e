/** How much memory a worker needs for each open request without a subprocess. */

import { readFileSync } from 'node:fs'
import type { Answers } from './actors/clients.js'
import { Actor } from './harness/actor.js'
import { Benchmark, ensure } from './harness/benchmark.js'
import type { Contestant } from './harness/contestants.js'
import { takeTurns } from './harness/turns.js'

const title = 'What the guard costs each open request that has started no subprocess.'
const benchmark = new Benchmark('open-requests', title)
const { short } = benchmark.settings
const contestants: Contestant[] = ['no guard', 'guard']
const rounds = short ? 1 : 3
const wanted = short ? 1_000 : 10_000
// For the process itself.
const ownDescriptors = 200
const warmUps = 200
const count = Math.min(wanted, mostDescriptors() - ownDescriptors)
const figures = benchmark.figures('memory of an open request', 'bytes')

/** The hard limit of file descriptors. Node raises its soft limit to it at startup. */
function mostDescriptors(): number {
  const [, hard = ''] = /^Max open files +\S+ +(\S+)/m.exec(readFileSync('/proc/self/limits', 'utf8')) ?? []
  return hard === 'unlimited' ? Number.POSITIVE_INFINITY : Number(hard)
}

/** Opens that many requests, and calls `inspect` while all of them are open. */
async function hold<Seen>(
  server: Actor,
  clients: Actor,
  count: number,
  inspect: () => Promise<Seen>
): Promise<Seen> {
  await clients.ask('ask', await server.ask('port'), '/', count)
  const open = await server.ask<number>('open', count)
  ensure(open === count, `${open} of ${count} requests are open`)
  const seen = await inspect()
  await server.ask('answer')
  const { statuses } = await clients.ask<Answers>('answers')
  ensure(statuses[200] === count, `the answers to ${count} requests were ${JSON.stringify(statuses)}`)
  return seen
}

async function measure(contestant: Contestant): Promise<number> {
  const [server, clients] = await Promise.all([
    Actor.start('holding-server', [contestant], ['--expose-gc']),
    Actor.start('clients')
  ])
  try {
    // What the first requests load and compile belongs to no single request.
    await hold(server, clients, warmUps, async () => {})
    await clients.ask('leave')
    await server.ask('left')
    const before = await server.ask<number>('memory')
    const during = await hold(server, clients, count, () => server.ask<number>('memory'))
    return (during - before) / count
  } finally {
    await Promise.all([server.end(), clients.end()])
  }
}

await takeTurns(contestants, rounds, async (name) => figures.add(name, '', await measure(name)), 0)
const [bare, guarded] = contestants.map((name) => figures.summary(name).median) as [number, number]
benchmark.aim('guard - no guard', guarded - bare, 'bytes', { atMost: 200 })
benchmark.note(`${count} requests at once, each on a connection of its own`)
if (count < wanted) benchmark.note(`not ${wanted}: the limit of file descriptors is too low (ulimit -n)`)
benchmark.report()
