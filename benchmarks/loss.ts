/** How long the loss of a keeper blocks the worker's event loop, also beside thousands of processes. */

import type { Loss } from './actors/keeper-loser.js'
import { Actor } from './harness/actor.js'
import { Benchmark, ensure } from './harness/benchmark.js'
import { Crowd } from './harness/crowd.js'
import { Pipe } from './harness/pipe.js'
import { roomForProcesses } from './harness/room.js'
import { type Tree, trees } from './harness/trees.js'
import { takeTurns } from './harness/turns.js'

const benchmark = new Benchmark('loss', 'What the loss of a keeper costs the event loop of its worker.')
const { short } = benchmark.settings
const tree = (short ? trees[1] : trees[2]) as Tree
const crowdTrees = 6
const rounds = short ? 2 : 8
const count = short ? 5 : 20
const few = 'as it is'
const many = `${(crowdTrees * tree.size).toLocaleString('en')} more`
const cases = 'other processes on the machine'
const enders = ['guard', 'guard, no next keeper'] as const
const blocks = benchmark.figures('longest block of the event loop', 'ms', { cases })
const times = benchmark.figures(`from the loss until none of ${count} commands is alive`, 'ms', { cases })

await measure(few)
ensure(roomForProcesses() > (crowdTrees + 1) * tree.size, `there is no room for ${many} processes`)
const crowd = await Crowd.start(crowdTrees, tree)
await measure(many)
await crowd.end()

for (const name of enders) {
  benchmark.aim(`${name}, ${many}, p99`, blocks.summary(name, many).p99, 'ms', { atMost: 20 })
  const ratio = blocks.summary(name, many).median / blocks.summary(name, few).median
  benchmark.aim(`${name}, ${many} / ${few}, medians`, ratio, 'times', { atMost: 1.5 })
}
benchmark.note('guard: the next keeper ends the processes of the lost one')
benchmark.note(
  'guard, no next keeper: for a while there is no next keeper, and the worker ends the processes itself'
)
benchmark.report()

async function measure(others: string): Promise<void> {
  await takeTurns(enders, rounds, async (name, _round, isWarmUp) => {
    const pipe = new Pipe()
    const actor = await Actor.start('keeper-loser')
    try {
      await actor.ask('guard')
      // After a second loss in a row, the next keeper starts only after a pause.
      if (name !== 'guard') await actor.ask('loseIdle')
      await actor.ask('start', count, pipe.env)
      await pipe.held(count)
      const { blockMs, tookMs, ended } = await actor.ask<Loss>('lose')
      await pipe.ended
      ensure(ended >= count, `${ended} of ${count} processes were ended`)
      await actor.ask('close')
      if (isWarmUp) return
      blocks.add(name, others, blockMs)
      times.add(name, others, tookMs)
    } finally {
      pipe.close()
      await actor.end()
    }
  })
}
