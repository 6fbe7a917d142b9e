/** How much thousands of other processes on the machine slow down the end of a tree. */

import { Actor } from './harness/actor.js'
import { Benchmark, ensure } from './harness/benchmark.js'
import type { Contestant } from './harness/contestants.js'
import { Crowd } from './harness/crowd.js'
import { roomForProcesses } from './harness/room.js'
import { endTree, type Tree, trees } from './harness/trees.js'
import { takeTurns } from './harness/turns.js'

const benchmark = new Benchmark('crowd', 'What other processes on the machine do to the end of a tree.')
const { short } = benchmark.settings
const withinMs = 30_000
const contestants: Contestant[] = ['guard', 'kill(-pgid)']
const tree = (short ? trees[1] : trees[2]) as Tree
const rounds = short ? 2 : 6
const crowdSize = sizeOfCrowd(short ? 200 : 5_000)
const few = 'as it is'
const many = `${crowdSize.toLocaleString('en')} more`
const cases = 'other processes on the machine'
const times = benchmark.figures(`from the call until none of ${tree.name} is alive`, 'ms', { cases })

const actors = await Promise.all(
  contestants.map(async (name) => ({ name, actor: await Actor.start('tree-ender', [name]) }))
)
// Before and after the crowd, so that a machine that slows down or warms up affects both cases.
await measure(few, rounds / 2)
const crowd = await Crowd.start(crowdSize / tree.size, tree)
await measure(many, rounds)
await crowd.end()
await measure(few, rounds / 2)
await Promise.all(actors.map(({ actor }) => actor.end()))

const more = times.summary('guard', many).median / times.summary('guard', few).median
benchmark.aim(`guard, ${many} / ${few}, medians`, more, 'times', { atMost: 1.5 })
benchmark.report()

/** Each contestant ends that many trees. */
async function measure(others: string, rounds: number): Promise<void> {
  await takeTurns(actors, rounds, async ({ name, actor }, _round, isWarmUp) => {
    const ending = await endTree(actor, tree, withinMs)
    if ('left' in ending) throw new Error(`${name} leaves ${ending.left} of ${tree.name} processes`)
    if (!isWarmUp) times.add(name, others, ending.ms)
  })
}

/** The size of the crowd: whole trees, leaving room for the tree that is measured. */
function sizeOfCrowd(wanted: number): number {
  const possible = Math.floor(roomForProcesses() / tree.size - 2) * tree.size
  ensure(possible > 0, `there is no room for ${tree.size} processes`)
  if (possible < wanted) benchmark.note(`This machine has room for ${possible} others instead of ${wanted}.`)
  return Math.min(possible, wanted)
}
