/** How long the subprocesses of a worker outlive it after SIGKILL, and how many of them never end. */

import { setTimeout as pause } from 'node:timers/promises'
import { Actor } from './harness/actor.js'
import { Benchmark, ensure } from './harness/benchmark.js'
import { sharedNow } from './harness/clock.js'
import type { Contestant } from './harness/contestants.js'
import { Pipe } from './harness/pipe.js'
import { Pm2 } from './harness/pm2.js'
import { isAlive, statOf } from './harness/processes.js'
import { takeTurns } from './harness/turns.js'

const benchmark = new Benchmark(
  'crash',
  'What becomes of the subprocesses of a worker that is killed with SIGKILL.'
)
const { short } = benchmark.settings
const count = short ? 100 : 1_000
const rounds = short ? 2 : 8
const leftAfterMs = short ? 1_000 : 5_000
const times = benchmark.figures(`from the kill until none of ${count} is alive`, 'ms')
const left = benchmark.figures(`alive ${leftAfterMs / 1_000} s after the kill`, 'processes')

await takeTurns<'guard' | 'kill(-pgid)'>(['guard', 'kill(-pgid)'], rounds, async (name, _round, isWarmUp) => {
  const pipe = new Pipe()
  const actor = await startWorker(name, pipe)
  const keeper = statOf(await actor.ask<number>('keeper'))
  const killedAt = name === 'guard' ? sharedNow() : await actor.ask<number>('killGroups')
  if (name === 'guard') await actor.end('SIGKILL')
  const endedAt = await Promise.race([pipe.ended, pause(leftAfterMs, undefined, { ref: false })])
  // After the end of the pipe no process holds it any more. The last one may still show as alive for some µs.
  const living = endedAt === undefined ? pipe.living.length : 0
  pipe.close()
  await actor.end()
  ensure(keeper === undefined || (await isGone(keeper)), 'the keeper of the worker is still alive')
  if (isWarmUp) return
  if (endedAt !== undefined) times.add(name, '', endedAt - killedAt)
  left.add(name, '', living)
})
await leaveBehind()

benchmark.aim(`guard, median with ${count}`, times.summary('guard').median, 'ms', { atMost: 150 })
benchmark.aim('left by the guard', left.summary('guard').p99, 'processes', { atMost: 0 })
benchmark.note(
  'kill(-pgid) is the least that the machine needs: the worker stays alive and signals the groups one by one.'
)
benchmark.report()

/** Starts a worker with its subprocesses. Resolves when all of them sleep. */
async function startWorker(name: Contestant, pipe: Pipe): Promise<Actor> {
  // The keeper logs the end of the worker to the standard error that it inherited from it.
  const actor = await Actor.start('crasher', [name], [], 'ignore')
  await actor.ask('start', count, pipe.env)
  await pipe.held(count)
  return actor
}

/** Kills the workers of the other contestants all at once: the rest is only waiting. */
async function leaveBehind(): Promise<void> {
  const workers: { name: Contestant; pipe: Pipe; kill: () => unknown }[] = []
  for (const name of ['child_process', 'execa cleanup'] as const) {
    const pipe = new Pipe()
    const actor = await startWorker(name, pipe)
    workers.push({ name, pipe, kill: () => actor.end('SIGKILL') })
  }
  const pipe = new Pipe()
  const pm2 = await Pm2.start(count, pipe.env)
  await pipe.held(count)
  workers.push({ name: 'PM2 treekill', pipe, kill: () => process.kill(pm2.worker, 'SIGKILL') })
  for (const { kill } of workers) await kill()
  await pause(leftAfterMs)
  for (const { name, pipe } of workers) left.add(name, '', pipe.living.length)
  await pm2.end()
  for (const { pipe } of workers) pipe.close()
}

/** Whether a process ends within a few seconds. */
async function isGone(stat: Parameters<typeof isAlive>[0]): Promise<boolean> {
  const until = sharedNow() + leftAfterMs
  while (isAlive(stat) && sharedNow() < until) await pause(5)
  return !isAlive(stat)
}
