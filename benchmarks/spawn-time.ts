/** How long one command takes until its output is read and it has ended, for workers of several sizes. */

import { Benchmark } from './harness/benchmark.js'
import type { Contestant } from './harness/contestants.js'
import { sizes, withSpawners } from './harness/sizes.js'
import { takeTurns } from './harness/turns.js'

const benchmark = new Benchmark('spawn-time', 'From spawn() of `echo hi` to its output read and its end.')
const { short } = benchmark.settings
const contestants: Contestant[] = ['guard', 'guard, direct launch', 'child_process', 'execa']
const rounds = short ? 2 : 24
const perRound = short ? 3 : 5
const cases = 'resident memory of the worker'
const figures = benchmark.figures('time of one command', 'ms', { scale: 'log', cases })

for (const size of sizes) {
  await withSpawners(contestants, size, async (actors) => {
    // Large workers are slow to fork, so a few rounds are enough.
    const ofSize = size.megabytes > 500 ? Math.ceil(rounds / 4) : rounds
    await takeTurns(actors, ofSize, async ({ name, actor }, _round, isWarmUp) => {
      const { wholes } = await actor.ask<{ wholes: number[] }>('oneByOne', isWarmUp ? 20 : perRound)
      if (!isWarmUp) figures.add(name, size.name, ...wholes)
    })
  })
}

benchmark.aim('guard / child_process at 50 MB', figures.ratio('guard', 'child_process', '50 MB'), '', {
  atMost: 1.25
})
benchmark.aim('guard / child_process at 2 GB', figures.ratio('guard', 'child_process', '2 GB'), '', {
  atMost: 0.1
})
benchmark.report()
