/** How long it takes to end a process tree, until no process of it is alive. */

import { Actor } from './harness/actor.js'
import { Benchmark } from './harness/benchmark.js'
import type { Contestant } from './harness/contestants.js'
import { hasProgram } from './harness/programs.js'
import { endTree, type Tree, trees } from './harness/trees.js'
import { takeTurns } from './harness/turns.js'

const benchmark = new Benchmark(
  'tree',
  'How long it takes to end a tree, until none of its processes is alive.'
)
const { short } = benchmark.settings
// A small tree ends so soon that chance has more influence.
const rounds = short ? 2 : 31
const largestRounds = short ? 2 : 11
// For contestants that take ten times as long, or that are not compared with an aim.
const peerRounds = short ? 2 : 5
const withinMs = 30_000
// execa 10, which has killDescendants, needs it.
const hasExeca = Number(process.versions.node.split('.')[0]) >= 22
/** These wait for the end: the guard for the tree, execa for its child. The others only send a signal. */
const waiting: Contestant[] = [
  'guard',
  'guard, SIGKILL',
  ...(hasExeca ? ['execa killDescendants' as const] : [])
]
const compared: Contestant[] = [...waiting, 'kill(-pgid)', 'kill(-pgid) by a sidecar']
const contestants = [...compared, ...peers()]
const chosen = short ? trees.slice(0, 2) : trees
const largest = chosen.at(-1) as Tree
const cases = 'processes of the tree'
const times = benchmark.figures('from the call until none is alive', 'ms', { scale: 'log', cases })
const told = benchmark.figures('from the call until the contestant says that it is over', 'ms', {
  scale: 'log',
  cases
})
const starts = benchmark.figures('processes started meanwhile', 'processes', { cases })
/** The contestants that had not finished within the time limit. */
const givenUp = new Set<Contestant>()
const fewestStarts = new Map<Contestant, number>()

const actors = await Promise.all(
  contestants.map(async (name) => ({ name, actor: await Actor.start('tree-ender', [name]) }))
)
for (const tree of chosen) {
  await takeTurns(actors, rounds, async ({ name, actor }, round, isWarmUp) => {
    const most = roundsOf(name, tree)
    if (round >= most || (isWarmUp && most === 1)) return
    const ending = await endTree(actor, tree, withinMs)
    if ('left' in ending) {
      const still = ending.isGivenUp ? `, and had not finished after ${withinMs / 1_000} s` : ''
      benchmark.note(
        `${name} once left ${ending.left.toLocaleString('en')} of ${tree.name} processes${still}.`
      )
      if (ending.isGivenUp) givenUp.add(name)
    } else if (!isWarmUp) {
      times.add(name, tree.name, ending.ms)
      if (waiting.includes(name) && ending.doneMs !== undefined) told.add(name, tree.name, ending.doneMs)
      starts.add(name, tree.name, ending.started)
      fewestStarts.set(name, Math.min(ending.started, fewestStarts.get(name) ?? ending.started))
    }
  })
}
await Promise.all(actors.map(({ actor }) => actor.end()))

for (const name of ['guard', 'guard, SIGKILL'] as const) {
  for (const tree of chosen) {
    const against = times.ratio(name, 'kill(-pgid)', tree.name)
    benchmark.aim(`${name} / kill(-pgid) at ${tree.name}`, against, 'times', { atMost: 1.3 })
  }
}
// The least that any keeper costs: its worker has to send it a message.
for (const tree of chosen) {
  const sidecar = times.ratio('kill(-pgid) by a sidecar', 'kill(-pgid)', tree.name)
  benchmark.note(`kill(-pgid) by a sidecar / kill(-pgid) at ${tree.name}: ${sidecar.toFixed(2)} times.`)
  if (!hasExeca) continue
  const execa = times.ratio('guard', 'execa killDescendants', tree.name)
  benchmark.note(`guard / execa killDescendants at ${tree.name}: ${execa.toFixed(2)} times.`)
}
if (contestants.includes('tree-kill')) {
  const isAtLeast = givenUp.has('tree-kill')
  const ms = isAtLeast ? withinMs : times.summary('tree-kill', largest.name).median
  const what = `tree-kill / guard at ${largest.name}${isAtLeast ? ', up to the time limit' : ''}`
  benchmark.aim(what, ms / times.summary('guard', largest.name).median, 'times', { atLeast: 100 })
}
benchmark.aim('processes that the guard starts', fewestStarts.get('guard') as number, '', { atMost: 0 })
benchmark.note(
  'Started processes are counted on the whole machine. For the guard, the smallest count of all rounds is compared with the aim.'
)
benchmark.report()

/** The other contestants that work on this machine. */
function peers(): Contestant[] {
  const some: Contestant[] = []
  if (hasProgram('ps')) some.push('tree-kill', 'terminate', 'fkill', 'pidtree')
  else benchmark.note('tree-kill, terminate, fkill and pidtree need `ps`, which is not installed.')
  if (!hasExeca) benchmark.note('execa 10, which has killDescendants, needs Node 22.')
  return some
}

/** Fewer rounds for contestants that take long or fail. */
function roundsOf(name: Contestant, tree: Tree): number {
  if (name === 'fkill' || (name === 'tree-kill' && tree === largest)) return 1
  if (compared.includes(name)) return tree === largest ? largestRounds : rounds
  return name === 'tree-kill' && tree.size >= 100 ? 3 : peerRounds
}
