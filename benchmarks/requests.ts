/** How many requests a second a server answers on a route that starts no subprocess, with a deadline and without. */

import { Actor } from './harness/actor.js'
import { Benchmark, type Figures } from './harness/benchmark.js'
import type { Contestant } from './harness/contestants.js'
import { quantile } from './harness/statistics.js'
import { figure } from './harness/table.js'
import { takeTurns } from './harness/turns.js'

/** What one round of one server came to. */
interface Round {
  readonly perSecond: number
  /** Processor time of the server for each request. */
  readonly processorMs: number
  /** The share of the time in which its event loop was busy. */
  readonly busy: number
}

interface Competitor {
  readonly name: Contestant
  readonly server: Actor
  readonly port: number
  readonly rounds: Round[]
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
// Many short rounds: what disturbs the machine for a second then meets all of them alike.
const rounds = short ? 1 : 20
const roundMs = short ? 200 : 300
// In its first second the code of a server is still being compiled.
const warmUps = short ? 1 : 4
const body = '{"hello":"world"}'

async function compete(framework: string, contestants: readonly Contestant[]): Promise<Competitor[]> {
  const load = await Actor.start('load')
  const starting = contestants.map((name) => start(framework, name))
  try {
    const all = await Promise.all(starting)
    await takeTurns(
      all,
      rounds,
      async (competitor, _round, isWarmUp) => {
        const round = await measure(competitor, load)
        if (!isWarmUp) competitor.rounds.push(round)
      },
      warmUps
    )
    return all
  } finally {
    const started = await Promise.allSettled(starting)
    const servers = started.flatMap((one) => (one.status === 'fulfilled' ? one.value.server : []))
    await Promise.all([load, ...servers].map((actor) => actor.end()))
  }
}

async function start(framework: string, name: Contestant): Promise<Competitor> {
  const server = await Actor.start('server', [framework, name])
  return { name, server, port: await server.ask('port'), rounds: [] }
}

async function measure({ server, port }: Competitor, load: Actor): Promise<Round> {
  const before = await server.ask<Spent>('spent')
  const { perSecond, answers, loadMs } = await load.ask<Load>('run', port, roundMs, body)
  const after = await server.ask<Spent>('spent')
  return {
    perSecond,
    processorMs: (after.processorMs - before.processorMs) / answers,
    busy: (after.busyMs - before.busyMs) / loadMs
  }
}

function collect(figures: Figures, all: readonly Competitor[]): void {
  for (const { name, rounds } of all) figures.add(name, '', ...rounds.map(({ perSecond }) => perSecond))
}

/** The ratios of what they came to in the same round. */
function ratios(one: Competitor, other: Competitor, of: keyof Round): number[] {
  return one.rounds.map((round, index) => round[of] / (other.rounds[index] as Round)[of])
}

function spread(samples: readonly number[]): string {
  const [q1, median, q3] = [0.25, 0.5, 0.75].map((share) => figure(quantile(samples, share)))
  return `${median} (quartiles ${q1} to ${q3})`
}

function say(framework: string, all: readonly Competitor[]): void {
  const [guard, bare] = ['guard', 'no guard'].map((name) => all.find((one) => one.name === name))
  const ofPair = (of: keyof Round): string => spread(ratios(guard as Competitor, bare as Competitor, of))
  benchmark.note(`${framework}, guard / no guard: ${ofPair('perSecond')}`)
  benchmark.note(`${framework}, guard / no guard, processor time of the server: ${ofPair('processorMs')}`)
  const busy = all.flatMap(({ rounds }) => rounds.map(({ busy }) => busy))
  benchmark.note(
    `${framework}: the event loops were busy for ${figure(quantile(busy, 0.5) * 100)} % of the time`
  )
}

const fastify = benchmark.figures('requests a second, Fastify', 'requests/s')
const express = benchmark.figures('requests a second, Express', 'requests/s')

// The last one is the first one again, and shows what the machine makes of two that are alike.
const onFastify = await compete('fastify', [
  'no guard',
  'guard',
  'handlerTimeout',
  'fastify-racing',
  'no guard'
])
const twin = onFastify.pop() as Competitor
collect(fastify, onFastify)
benchmark.aim('guard / no guard, Fastify', fastify.ratio('guard', 'no guard'), '', { atLeast: 0.98 })
for (const peer of ['handlerTimeout', 'fastify-racing'] as const) {
  benchmark.aim(`guard / ${peer}`, fastify.ratio('guard', peer), '', { atLeast: 1 })
}
say('Fastify', onFastify)
const alike = spread(ratios(twin, onFastify[0] as Competitor, 'perSecond'))
benchmark.note(`bare against bare in the same run: ${alike}`)
benchmark.note('fastify-racing tells that the client has left. It has no deadline, and none was added to it.')

const onExpress = await compete('express', ['no guard', 'guard', 'connect-timeout'])
collect(express, onExpress)
benchmark.aim('guard / connect-timeout', express.ratio('guard', 'connect-timeout'), '', { atLeast: 1 })
say('Express', onExpress)
benchmark.report()
