/** What the containment level `cgroup` costs and gains: the end of a tree, and the start of a command. */

import { rmdirSync } from 'node:fs'
import { Actor } from './harness/actor.js'
import { Benchmark } from './harness/benchmark.js'
import { makeCgroup } from './harness/cgroups.js'
import type { Contestant } from './harness/contestants.js'
import { type Size, withSpawners } from './harness/sizes.js'
import { endTree, trees } from './harness/trees.js'
import { takeTurns } from './harness/turns.js'

const benchmark = new Benchmark(
  'cgroup',
  'The end of a tree, and one command in a scope of its own, at the levels "cgroup" and "subreaper".'
)
const { short } = benchmark.settings
const cases = 'processes of the tree'
const ends = benchmark.figures('from the call until none is alive', 'ms', { scale: 'log', cases })
const closes = benchmark.figures('from the call until the guard says that it is over', 'ms', {
  scale: 'log',
  cases
})
const starts = benchmark.figures('one command, from spawn() to the end of its scope', 'ms', {
  cases: 'pause between commands'
})
const guards: Contestant[] = [
  'guard, cgroup',
  'guard, cgroup, SIGKILL',
  'guard, subreaper',
  'guard, subreaper, SIGKILL'
]
const withinMs = 30_000
const worker: Size = { name: '50 MB', megabytes: 50, kind: 'buffers' }

const why = whyNoCgroups()
if (why !== undefined) benchmark.note(`Not measured here: ${why}.`)
else {
  await measureEnds()
  await measureStarts()
}
benchmark.report()

async function measureEnds(): Promise<void> {
  const chosen = short ? trees.slice(0, 2) : trees
  const contestants: Contestant[] = [...guards, 'cgroup.kill', 'kill(-pgid)']
  const actors = await Promise.all(
    contestants.map(async (name) => ({ name, actor: await Actor.start('tree-ender', [name]) }))
  )
  for (const tree of chosen) {
    const rounds = short ? 2 : tree.size > 500 ? 15 : 31
    await takeTurns(actors, rounds, async ({ name, actor }, _round, isWarmUp) => {
      const ending = await endTree(actor, tree, withinMs)
      if ('left' in ending) benchmark.note(`${name} once left ${ending.left} of ${tree.name} processes.`)
      else if (!isWarmUp) {
        ends.add(name, tree.name, ending.ms)
        if (guards.includes(name) && ending.doneMs !== undefined) closes.add(name, tree.name, ending.doneMs)
      }
    })
  }
  await Promise.all(actors.map(({ actor }) => actor.end()))
  for (const name of guards.slice(0, 2)) {
    for (const tree of chosen) {
      const ratio = ends.ratio(name, 'cgroup.kill', tree.name)
      benchmark.aim(`${name} / cgroup.kill at ${tree.name}`, ratio, 'times', { atMost: 1.3 })
    }
  }
}

async function measureStarts(): Promise<void> {
  const contestants: Contestant[] = ['guard, cgroup', 'guard, subreaper']
  await withSpawners(contestants, worker, async (spawners) => {
    for (const pauseMs of [0, 100]) {
      await takeTurns(spawners, short ? 2 : 30, async ({ name, actor }, _round, isWarmUp) => {
        const { wholes } = await actor.ask<{ wholes: number[] }>('oneByOne', isWarmUp ? 20 : 5, pauseMs)
        if (!isWarmUp) starts.add(name, `${pauseMs} ms`, ...wholes)
      })
      const ratio = starts.ratio('guard, cgroup', 'guard, subreaper', `${pauseMs} ms`)
      benchmark.note(
        `One command, ${pauseMs} ms after the last: cgroup / subreaper ${ratio.toFixed(2)} times.`
      )
    }
  })
}

function whyNoCgroups(): string | undefined {
  try {
    rmdirSync(makeCgroup())
    return undefined
  } catch (error) {
    return (error as Error).message
  }
}
