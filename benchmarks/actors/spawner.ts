/** A worker of a given size that starts commands. Arguments: contestant, MB, kind of memory. */

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { performance } from 'node:perf_hooks'
import type { Readable } from 'node:stream'
import { setTimeout as pause } from 'node:timers/promises'
import { execa } from 'execa'
import { createGuard } from 'fastify-subprocess-guard'
import { act } from '../harness/actor.js'
import { fillTo } from '../harness/ballast.js'
import { ensure } from '../harness/benchmark.js'
import { createGuardAt } from '../harness/cgroups.js'

const [contestant = '', megabytes = '0', kind = 'buffers'] = process.argv.slice(2)

interface Started {
  readonly stdout: Readable
  /** Resolves when the command has ended and its output is read. */
  readonly closed: Promise<unknown>
}

type Start = (command: string, args: string[]) => Started

const startOf: Record<string, () => Promise<Start>> = {
  child_process: async () => (command, args) => closing(spawn(command, args)),
  execa: async () => (command, args) => {
    const child = execa(command, args, { buffer: false })
    return { stdout: child.stdout, closed: child }
  },
  guard: () => guarded('keeper'),
  'guard, cgroup': () => guardedAt('cgroup'),
  'guard, subreaper': () => guardedAt('subreaper'),
  'guard, direct launch': () => guarded('direct')
}

async function guarded(launch: 'keeper' | 'direct'): Promise<Start> {
  const guard = await createGuard({ launch, timeout: false })
  const scope = guard.open()
  process.once('disconnect', () => guard.close())
  return (command, args) => closing(scope.spawn(command, args))
}

/** Each command has a scope of its own, as in a request. */
async function guardedAt(level: 'cgroup' | 'subreaper'): Promise<Start> {
  const guard = await createGuardAt(level, { timeout: false })
  process.once('disconnect', () => guard.close())
  return (command, args) => {
    const scope = guard.open()
    const { stdout, closed } = closing(scope.spawn(command, args))
    return { stdout, closed: closed.then(() => scope.close()) }
  }
}

function closing(child: ChildProcess & { stdout: Readable }): Started {
  return { stdout: child.stdout, closed: once(child, 'close') }
}

const start = (await startOf[contestant]?.()) as Start
fillTo(Number(megabytes), kind as 'buffers' | 'heap')

/** Runs `echo hi` to its end. Resolves with the time of the spawn call alone, in ms. */
async function echo(): Promise<number> {
  const startedAt = performance.now()
  const { stdout, closed } = start('echo', ['hi'])
  const calledMs = performance.now() - startedAt
  let output = ''
  stdout.setEncoding('utf8').on('data', (text) => {
    output += text
  })
  await closed
  ensure(output === 'hi\n', `${contestant} read ${JSON.stringify(output)} from echo hi`)
  return calledMs
}

act({
  /**
   * Runs that many commands one after the other, with a pause before each. Returns the time of each call, of each whole command, and
   * the busy time of the event loop for each command, in ms.
   */
  async oneByOne(count: number, pauseMs = 0) {
    const calls: number[] = []
    const wholes: number[] = []
    const before = performance.eventLoopUtilization()
    for (let number = 0; number < count; number++) {
      if (pauseMs > 0) await pause(pauseMs)
      const startedAt = performance.now()
      calls.push(await echo())
      wholes.push(performance.now() - startedAt)
    }
    const { active } = performance.eventLoopUtilization(before)
    return { calls, wholes, busy: active / count }
  },

  /** Runs that many commands, at most `most` at a time. Resolves with the number per second. */
  async manyAtOnce(count: number, most: number) {
    const startedAt = performance.now()
    let left = count
    const lane = async (): Promise<void> => {
      while (left-- > 0) await echo()
    }
    await Promise.all(Array.from({ length: most }, lane))
    return (count / (performance.now() - startedAt)) * 1_000
  }
})
