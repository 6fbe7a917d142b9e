/**
 * What it costs to count what a command has used. No option turns that off, so the keeper's steps for an ended child
 * are measured with and without it, and the difference is compared with the time of a whole command.
 */

import { Actor } from '../harness/actor.js'
import type { Benchmark } from '../harness/benchmark.js'
import { quantile } from '../harness/statistics.js'
import { figure } from '../harness/table.js'
import { takeTurns } from '../harness/turns.js'

const contestants = ['wait4', 'waitpid'] as const
const childrenOfRound = 200
const commandsOfRound = 20

export async function measureAccounting(benchmark: Benchmark): Promise<void> {
  const { short } = benchmark.settings
  const reaping = benchmark.figures('a child reaped, and the worker told of it', 'µs')
  const commands = benchmark.figures('time of one command, `echo hi` with its output read', 'ms')
  const reaper = await Actor.start('reaper')
  const spawner = await Actor.start('spawner', ['guard', '50', 'buffers'])
  const extraUs: number[] = []
  try {
    let roundUs: Partial<Record<(typeof contestants)[number], number>> = {}
    await takeTurns(
      contestants,
      short ? 6 : 30,
      async (name, _round, isWarmUp) => {
        const us = 1_000 * (await reaper.ask<number>('reap', name, childrenOfRound))
        const { wholes } = await spawner.ask<{ wholes: number[] }>('oneByOne', commandsOfRound)
        if (isWarmUp) return
        reaping.add(name, '', us)
        commands.add('guard', '', ...wholes)
        roundUs[name] = us
        if (roundUs.wait4 === undefined || roundUs.waitpid === undefined) return
        extraUs.push(roundUs.wait4 - roundUs.waitpid)
        roundUs = {}
      },
      3
    )
  } finally {
    await Promise.all([reaper.end(), spawner.end()])
  }
  const { median, q1 } = commands.summary('guard')
  const shareOf = (ms: number): number => (quantile(extraUs, 0.5) / 1_000 / ms) * 100
  benchmark.aim('accounting, of the time of one command', shareOf(median), '%', { atMost: 2 })
  benchmark.note(
    `accounting: ${figure(quantile(extraUs, 0.5))} µs more for each command, ${figure(shareOf(q1))} % of the first quartile of its time`
  )
  benchmark.note(
    'wait4: the keeper’s own code, from the system call to the message that the worker has parsed. waitpid: the same without usage.'
  )
}
