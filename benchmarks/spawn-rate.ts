/** How many commands a worker completes in a second, 32 at a time, for workers of several sizes. */

import { Benchmark } from './harness/benchmark.js'
import type { Contestant } from './harness/contestants.js'
import { sizes, withSpawners } from './harness/sizes.js'
import { takeTurns } from './harness/turns.js'

const benchmark = new Benchmark('spawn-rate', 'Commands done in a second, 32 at a time.')
const { short } = benchmark.settings
const contestants: Contestant[] = ['guard', 'child_process', 'execa']
const rounds = short ? 1 : 4
const atOnce = 32
const cases = 'resident memory of the worker'
const figures = benchmark.figures('`echo hi` with its output read', 'commands/s', { scale: 'log', cases })

for (const size of sizes) {
  await withSpawners(contestants, size, async (actors) => {
    await takeTurns(actors, rounds, async ({ name, actor }, _round, isWarmUp) => {
      // As many as take a considerable part of a second.
      const isSlow = name !== 'guard' && size.megabytes > 50
      const count = short || isSlow ? atOnce : 10 * atOnce
      const perSecond = await actor.ask<number>('manyAtOnce', count, atOnce)
      if (!isWarmUp) figures.add(name, size.name, perSecond)
    })
  })
}

benchmark.aim('guard / child_process at 50 MB', figures.ratio('guard', 'child_process', '50 MB'), '', {
  atLeast: 0.9
})
benchmark.aim('guard / child_process at 2 GB', figures.ratio('guard', 'child_process', '2 GB'), '', {
  atLeast: 10
})
benchmark.report()
