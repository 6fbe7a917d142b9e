/** How many requests per second a server answers without subprocesses, with and without a deadline. */

import type { Profile } from './actors/server.js'
import { Actor } from './harness/actor.js'
import { Benchmark, type Figures } from './harness/benchmark.js'
import type { Contestant } from './harness/contestants.js'
import { quantile } from './harness/statistics.js'
import { figure } from './harness/table.js'
import { takeTurns } from './harness/turns.js'

/** The result of one round of one server. */
interface Round {
  readonly perSecond: number
  /** The processor time of the server for each request. */
  readonly processorMs: number
  /** The share of the time in which its event loop was busy. */
  readonly busy: number
}

interface Competitor {
  readonly name: Contestant
  readonly rounds: Round[]
}

interface Server {
  readonly of: Competitor
  readonly actor: Actor
  readonly port: number
}

interface Spent {
  readonly busyMs: number
  readonly processorMs: number
}

interface Load {
  readonly perSecond: number
  readonly answers: number
  readonly loadMs: number
}

const benchmark = new Benchmark('requests', 'What the guard costs a request that starts no subprocess.')
const { short } = benchmark.settings
// Of two processes with the same program, one may be a fifth faster for its whole life. So each has many.
const generations = short ? 1 : 10
// With short rounds, a disturbance of a second affects all contestants.
const rounds = short ? 1 : 4
const roundMs = short ? 200 : 250
// In the first second the code of a server is still being compiled.
const warmUps = short ? 1 : 3
const profileMs = short ? 200 : 3_000
const body = '{"hello":"world"}'

async function compete(framework: string, contestants: readonly Contestant[]): Promise<Competitor[]> {
  const all = contestants.map((name): Competitor => ({ name, rounds: [] }))
  const load = await Actor.start('load')
  try {
    for (let generation = 0; generation < generations; generation++) await runGeneration(framework, all, load)
    return all
  } finally {
    await load.end()
  }
}

/** Starts, measures and ends one server of each contestant. */
async function runGeneration(framework: string, all: readonly Competitor[], load: Actor): Promise<void> {
  const servers: Server[] = []
  try {
    for (const of of all) {
      const actor = await Actor.start('server', [framework, of.name])
      servers.push({ of, actor, port: await actor.ask('port') })
    }
    await takeTurns(
      servers,
      rounds,
      async (server, _round, isWarmUp) => {
        const round = await measure(server, load)
        if (!isWarmUp) server.of.rounds.push(round)
      },
      warmUps
    )
  } finally {
    await Promise.all(servers.map(({ actor }) => actor.end()))
  }
}

async function measure({ actor, port }: Server, load: Actor): Promise<Round> {
  const before = await actor.ask<Spent>('spent')
  const { perSecond, answers, loadMs } = await load.ask<Load>('run', port, roundMs, body)
  const after = await actor.ask<Spent>('spent')
  return {
    perSecond,
    processorMs: (after.processorMs - before.processorMs) / answers,
    busy: (after.busyMs - before.busyMs) / loadMs
  }
}

function collect(figures: Figures, all: readonly Competitor[]): void {
  for (const { name, rounds } of all) figures.add(name, '', ...rounds.map(({ perSecond }) => perSecond))
}

/** The ratios of their results in the same round. */
function ratios(one: Competitor, other: Competitor, of: keyof Round): number[] {
  return one.rounds.map((round, index) => round[of] / (other.rounds[index] as Round)[of])
}

function spread(samples: readonly number[]): string {
  const [q1, median, q3] = [0.25, 0.5, 0.75].map((share) => figure(quantile(samples, share)))
  return `${median} (quartiles ${q1} to ${q3})`
}

function noteRatios(framework: string, all: readonly Competitor[], twin: Competitor): void {
  const [bare, guard] = all as [Competitor, Competitor]
  const ofPair = (one: Competitor, of: keyof Round): string => spread(ratios(one, bare, of))
  benchmark.note(`${framework}, guard / no guard: ${ofPair(guard, 'perSecond')}`)
  benchmark.note(
    `${framework}, guard / no guard, processor time of the server: ${ofPair(guard, 'processorMs')}`
  )
  benchmark.note(`${framework}, bare against bare in the same run: ${ofPair(twin, 'perSecond')}`)
  const leastOf = ({ rounds }: Competitor): string => {
    const samples = rounds.map(({ processorMs }) => processorMs * 1_000)
    return figure(quantile(samples, 0.1))
  }
  const least = [...all.map((one) => `${one.name} ${leastOf(one)}`), `no guard again ${leastOf(twin)}`]
  benchmark.note(
    `${framework}, processor time of a request in µs, at the tenth percentile of all rounds: ${least.join(', ')}`
  )
  const busy = all.flatMap(({ rounds }) => rounds.map(({ busy }) => busy))
  benchmark.note(
    `${framework}: the event loops were busy for ${figure(quantile(busy, 0.5) * 100)} % of the time`
  )
}

/** Profiles a guarded server. */
async function profile(framework: string): Promise<void> {
  const load = await Actor.start('load')
  const server = await Actor.start('server', [framework, 'guard'])
  try {
    const port = await server.ask<number>('port')
    for (let round = 0; round < warmUps; round++) await load.ask('run', port, roundMs, body)
    await server.ask('profile')
    await load.ask('run', port, profileMs, body)
    const { busyMs, collectorMs, own } = await server.ask<Profile>('profiled')
    const share = (ms: number): string => `${figure((ms / busyMs) * 100)} %`
    const ownMs = own.reduce((sum, { ms }) => sum + ms, 0)
    const most = own.slice(0, 4).map(({ name, ms }) => `${name} ${share(ms)}`)
    benchmark.note(
      `${framework}, profile of the guarded server: ${share(ownMs)} of its time in the guard’s own code (${most.join(', ')}), ` +
        `${share(collectorMs)} in the garbage collector`
    )
  } finally {
    await Promise.all([server.end(), load.end()])
  }
}

const fastify = benchmark.figures('requests a second, Fastify', 'requests/s')
const express = benchmark.figures('requests a second, Express', 'requests/s')

// The last contestant is the first one again: their difference is noise.
const onFastify = await compete('fastify', [
  'no guard',
  'guard',
  'empty hook',
  'handlerTimeout',
  'fastify-racing',
  'no guard'
])
const fastifyTwin = onFastify.pop() as Competitor
collect(fastify, onFastify)
benchmark.aim('guard / no guard, Fastify', fastify.ratio('guard', 'no guard'), '', { atLeast: 0.98 })
for (const peer of ['handlerTimeout', 'fastify-racing'] as const) {
  benchmark.aim(`guard / ${peer}`, fastify.ratio('guard', peer), '', { atLeast: 1 })
}
noteRatios('Fastify', onFastify, fastifyTwin)
benchmark.note('"empty hook": a hook that does nothing, the minimum cost of any plugin or middleware')
benchmark.note('fastify-racing reports that the client has left. It has no deadline, and none was added.')

const onExpress = await compete('express', ['no guard', 'guard', 'empty hook', 'connect-timeout', 'no guard'])
const expressTwin = onExpress.pop() as Competitor
collect(express, onExpress)
benchmark.aim('guard / no guard, Express', express.ratio('guard', 'no guard'), '', { atLeast: 0.97 })
benchmark.aim('guard / connect-timeout', express.ratio('guard', 'connect-timeout'), '', { atLeast: 1 })
noteRatios('Express', onExpress, expressTwin)
for (const framework of ['fastify', 'express']) await profile(framework)
benchmark.report()
