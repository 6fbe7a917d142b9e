/** How long the start of one command blocks the event loop of a worker, for workers of several sizes. */

import { Benchmark } from './harness/benchmark.js'
import type { Contestant } from './harness/contestants.js'
import { sizes, withSpawners } from './harness/sizes.js'
import { takeTurns } from './harness/turns.js'

interface Times {
  readonly calls: number[]
  readonly busy: number
}

const benchmark = new Benchmark('blocked', 'What one spawn costs the event loop of the worker.')
const { short } = benchmark.settings
const contestants: Contestant[] = ['guard', 'child_process', 'execa']
const rounds = short ? 2 : 8
const perRound = short ? 5 : 25
// As in a server that has run for a while, whose code is compiled.
const warmUp = short ? 5 : 100
const cases = 'resident memory of the worker'
const calls = benchmark.figures('the call of spawn()', 'ms', { scale: 'log', cases })
const busy = benchmark.figures('event loop busy from call to close', 'ms', { scale: 'log', cases })

for (const size of sizes) {
  await withSpawners(contestants, size, async (actors) => {
    // Large workers are slow to fork, so a few rounds are enough.
    await takeTurns(
      actors,
      size.megabytes > 500 ? Math.ceil(rounds / 3) : rounds,
      async ({ name, actor }, _round, isWarmUp) => {
        const times = await actor.ask<Times>('oneByOne', isWarmUp && name === 'guard' ? warmUp : perRound)
        if (isWarmUp) return
        calls.add(name, size.name, ...times.calls)
        busy.add(name, size.name, times.busy)
      }
    )
  })
}

for (const { name } of sizes) {
  const { median, p99 } = calls.summary('guard', name)
  benchmark.aim(`guard, median at ${name}`, median, 'ms', { atMost: 0.15 })
  benchmark.aim(`guard, p99 at ${name}`, p99, 'ms', { atMost: 1 })
}
const less = calls.summary('child_process', '2 GB').median / calls.summary('guard', '2 GB').median
benchmark.aim('child_process / guard, medians at 2 GB', less, 'times', { atLeast: 150 })
benchmark.report()
