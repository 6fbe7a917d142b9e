/** What a keeper costs: its memory, idle and with subprocesses, and the time until it is ready. */

import { readdirSync } from 'node:fs'
import { setTimeout as wait } from 'node:timers/promises'
import { Actor } from './harness/actor.js'
import { Benchmark, ensure } from './harness/benchmark.js'
import { memoryOf } from './harness/memory.js'
import { takeTurns } from './harness/turns.js'

const benchmark = new Benchmark('keeper', 'What a keeper costs the machine.')
const { short } = benchmark.settings
const rounds = short ? 2 : 15
const keepers = short ? 1 : 2
// A keeper is idle most of the time. By then, garbage from its start is collected.
const idleMs = short ? 500 : 3_000
const settledMs = 1_000
const count = short ? 100 : 1_000
const contestants = ['guard', 'child_process'] as const

const ready = benchmark.figures('from createGuard() to a keeper that is ready', 'ms')
const own = benchmark.figures('memory of the keeper alone', 'MB', { cases: 'the keeper' })
const proportional = benchmark.figures('memory of the keeper, with its share of what others have too', 'MB', {
  cases: 'the keeper'
})

function sample(keeper: number, of: string): void {
  const { privateBytes, proportionalBytes } = memoryOf(keeper)
  own.add('guard', of, privateBytes / 1e6)
  proportional.add('guard', of, proportionalBytes / 1e6)
}

await takeTurns(contestants, rounds, async (name, _round, isWarmUp) => {
  const host = await Actor.start('keeper-host')
  try {
    const ms = await host.ask<number>(name)
    if (!isWarmUp) ready.add(name, '', ms)
  } finally {
    await host.end()
  }
})

for (let number = 0; number < keepers; number++) {
  const host = await Actor.start('keeper-host')
  try {
    await host.ask('guard')
    const keeper = await host.ask<number>('keeper')
    await wait(idleMs)
    sample(keeper, 'idle')
    const running = await host.ask<number>('run', count)
    ensure(running === count, `${running} processes run, of ${count}`)
    await wait(settledMs)
    sample(keeper, `with ${count} processes`)
    await host.ask('close')
  } finally {
    await host.end()
  }
}

benchmark.aim('idle, memory of its own', own.summary('guard', 'idle').median, 'MB', { atMost: 12 })
benchmark.aim('ready', ready.summary('guard').median, 'ms', { atMost: 100 })
benchmark.note('child_process: an empty Node process, from its start to its end')
benchmark.note('the keeper shares the code of Node with the worker and with the benchmark itself')
const processes = readdirSync('/proc').filter((name) => /^\d+$/.test(name)).length
benchmark.note(`a keeper scans every process of the machine once; there were ${processes}`)
benchmark.report()
