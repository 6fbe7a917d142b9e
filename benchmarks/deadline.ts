/** A thousand requests, each with a process, reach their deadline at the same moment. */

import type { Answers } from './actors/clients.js'
import type { Met } from './actors/sleepers-server.js'
import { Actor } from './harness/actor.js'
import { Benchmark, ensure } from './harness/benchmark.js'
import type { Block } from './harness/loop-probe.js'
import { Pipe } from './harness/pipe.js'
import { quantile } from './harness/statistics.js'
import { figure } from './harness/table.js'
import { takeTurns } from './harness/turns.js'

const title = 'A thousand requests reach their deadline at once, and each runs a process.'
const benchmark = new Benchmark('deadline', title)
const { short } = benchmark.settings
const count = short ? 100 : 1_000
const rounds = short ? 1 : 2
// The deadlines are extended until all processes run.
const timeoutMs = short ? 1_500 : 3_000
const extendMs = 500
const graceMs = 1_000
const paths = { 'end on SIGTERM': '/ends', 'ignore SIGTERM': '/ignores' }
type Case = keyof typeof paths
const cases = 'the processes'

const dead = benchmark.figures('from the deadline until no process is alive', 'ms', { cases })
const answered = benchmark.figures('from the deadline until the last client has its answer', 'ms', { cases })
const own = benchmark.figures('longest block of the event loop, its own run time', 'ms', { cases })
const wall = benchmark.figures('longest block of the event loop, by the clock', 'ms', { cases })
const longest: Block[] = []
// For each round: how many responses were no deadline error.
const others: number[] = []

/** Extends all deadlines until the promise resolves. */
async function whileExtending(server: Actor, ready: Promise<unknown>): Promise<void> {
  // If a deadline passes nevertheless, the checks below find it.
  const extending = setInterval(() => server.ask('extend', extendMs).catch(() => {}), extendMs)
  try {
    await ready
  } finally {
    clearInterval(extending)
  }
}

async function measure(of: Case): Promise<void> {
  const pipe = new Pipe()
  const args = [pipe.env.HELD_PIPE as string, String(timeoutMs), String(graceMs)]
  const [server, clients] = await Promise.all([Actor.start('sleepers-server', args), Actor.start('clients')])
  try {
    await clients.ask('ask', await server.ask('port'), paths[of], count)
    const answering = clients.ask<Answers>('answers')
    await whileExtending(server, pipe.held(count))
    const [met, goneAt, { statuses, lastAt }] = await Promise.all([
      server.ask<Met>('meet', count),
      pipe.ended,
      answering
    ])
    const answers = Object.values(statuses).reduce((sum, number) => sum + number)
    ensure(answers === count, `the answers to ${count} requests were ${JSON.stringify(statuses)}`)
    others.push(count - (statuses[503] ?? 0))
    dead.add('guard', of, goneAt - met.deadlineAt)
    answered.add('guard', of, lastAt - met.deadlineAt)
    own.add('guard', of, met.longestOwn.ownMs)
    wall.add('guard', of, met.longest.wallMs)
    longest.push(met.longest)
  } finally {
    await Promise.all([server.end('SIGKILL'), clients.end('SIGKILL')])
    pipe.close()
  }
}

await takeTurns(Object.keys(paths) as Case[], rounds, measure, 0)
for (const of of Object.keys(paths) as Case[]) {
  const none = dead.summary('guard', of).median
  benchmark.aim(`none alive, of those that ${of}`, none, 'ms', { atMost: graceMs + 250 })
  const block = own.summary('guard', of).median
  benchmark.aim(`longest block by own run time, those that ${of}`, block, 'ms', { atMost: 5 })
}
const most = Math.max(...others)
benchmark.aim('answers that are no 503, in the worst round', most, `of ${count}`, { atMost: 0 })
const share = quantile(
  longest.map(({ wallMs, queuedMs }) => queuedMs / wallMs),
  0.5
)
benchmark.note(`${count} processes, grace ${graceMs} ms; all have piped standard streams`)
benchmark.note(
  `of the longest block by the clock the event loop waited ${figure(share * 100)} % for a core, which others had`
)
benchmark.report()
