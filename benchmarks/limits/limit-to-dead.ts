/** The time from the moment when a program has more memory than its limit until it is dead. */

import { setTimeout as wait } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Actor } from '../harness/actor.js'
import { type Benchmark, ensure } from '../harness/benchmark.js'
import { holdMemory } from '../harness/huge-pages.js'
import { Pipe } from '../harness/pipe.js'
import { figure } from '../harness/table.js'
import { takeTurns } from '../harness/turns.js'

const limitBytes = 300e6
const deadWithinMs = 10_000
// A daemon that outlives this after its limit is never found.
const leftAloneMs = 3_000
const leastRate = 0.8
// Other work on the machine may slow the program down.
const attempts = 10

const program = fileURLToPath(new URL('../programs/greedy.js', import.meta.url))
const guards = ['guard', 'guard, direct launch'] as const

/** How the program is started: as the command itself, or in a session of its own by a command that then ends. */
const shapes: Record<string, (args: string[]) => [command: string, args: string[]]> = {
  'the command itself': (args) => [process.execPath, args],
  'a daemon': (args) => ['sh', ['-c', 'setsid "$0" "$@" &', process.execPath, ...args]]
}

export async function measureLimitToDead(benchmark: Benchmark): Promise<void> {
  const { short } = benchmark.settings
  const times = benchmark.figures('from its memory above the limit to its death', 'ms', {
    cases: 'what takes it'
  })
  const contestants = await Promise.all(
    [...guards, 'pidusage' as const].map(async (name) => ({
      name,
      actor: await Actor.start('greedy-starter', [name, String(limitBytes)])
    }))
  )
  const turns = contestants.flatMap(({ name, actor }) =>
    Object.keys(shapes)
      .filter((shape) => name !== 'pidusage' || shape === 'the command itself')
      .map((shape) => ({ name, actor, shape }))
  )
  try {
    await takeTurns(
      turns,
      short ? 2 : 6,
      async ({ name, actor, shape }, _round, isWarmUp) => {
        const ms = await measureFast(actor, shape)
        ensure(ms !== undefined, `${name}: ${shape} is alive ${deadWithinMs} ms later`)
        if (!isWarmUp) times.add(name, shape, ms as number)
      },
      short ? 0 : 1
    )
    const peer = contestants.find(({ name }) => name === 'pidusage')?.actor as Actor
    const found = await measureFast(peer, 'a daemon', leftAloneMs)
    benchmark.note(
      found === undefined
        ? `pidusage: a daemon that has left its parent is alive ${leftAloneMs} ms later; it has no such figure`
        : `pidusage: a daemon was dead after ${found} ms`
    )
  } finally {
    await Promise.all(contestants.map(({ actor }) => actor.end()))
  }
  for (const name of guards) {
    for (const shape of Object.keys(shapes))
      benchmark.aim(`${name}, ${shape}`, times.summary(name, shape).median, 'ms', { atMost: 250 })
  }
  const ratio = times.ratio('guard', 'pidusage', 'the command itself')
  benchmark.note(`guard / pidusage every 100 ms, the command itself: ${ratio.toFixed(2)}`)
}

interface Death {
  /** Undefined if the program was still alive when the time was up. */
  readonly ms: number | undefined
  /** What it took, in GB a second. */
  readonly rate: number
}

/** Measures again if the program could not take its gigabyte a second. */
async function measureFast(actor: Actor, shape: string, withinMs?: number): Promise<number | undefined> {
  const rates: number[] = []
  while (rates.length < attempts) {
    const { ms, rate } = await measure(actor, shape, withinMs)
    if (rate >= leastRate) return ms
    rates.push(rate)
  }
  throw new Error(`this machine has only ${rates.map(figure)} GB a second for a program`)
}

async function measure(actor: Actor, shape: string, withinMs = deadWithinMs): Promise<Death> {
  const pipe = new Pipe()
  const giveBack = holdMemory(1.5 * limitBytes)
  try {
    // The guard must not know when it starts to take memory.
    const idleMs = 500 + Math.round(500 * Math.random())
    const [command, args] = (shapes[shape] as (args: string[]) => [string, string[]])([
      program,
      String(limitBytes),
      String(idleMs)
    ])
    await actor.ask('start', command, args, pipe.env)
    await pipe.held(1)
    giveBack()
    const late = new AbortController()
    const endedAt = await Promise.race([
      pipe.ended,
      wait(withinMs, undefined, { signal: late.signal }).catch(() => undefined)
    ])
    late.abort()
    const [, passedAt, rate] = /^passed (\S+) (\S+)$/.exec(pipe.notes[0] ?? '') ?? []
    ensure(passedAt !== undefined, 'the program has died before its limit')
    if (endedAt !== undefined) await actor.ask('done')
    return { ms: endedAt === undefined ? undefined : endedAt - Number(passedAt), rate: Number(rate) }
  } finally {
    pipe.close()
  }
}
