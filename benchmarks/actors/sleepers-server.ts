/**
 * A server whose requests each run one command until their deadline, which is the same moment for all.
 * Arguments: path of the pipe that the processes hold, deadline in ms, grace in ms.
 */

import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { performance } from 'node:perf_hooks'
import { setTimeout as wait } from 'node:timers/promises'
import Fastify from 'fastify'
import subprocessGuard, { type Scope } from 'fastify-subprocess-guard'
import { act } from '../harness/actor.js'
import { ensure } from '../harness/benchmark.js'
import { sharedNow } from '../harness/clock.js'
import { type Block, LoopProbe } from '../harness/loop-probe.js'
import { sleeper } from '../harness/sleepers.js'

/** The measurements of one deadline. Times are by the shared clock. */
export interface Met {
  readonly deadlineAt: number
  readonly closedAt: number
  readonly longest: Block
  readonly longestOwn: Block
}

const [pipe = '', timeout, grace] = process.argv.slice(2)
process.env.HELD_PIPE = pipe
const commands: Record<string, readonly string[]> = {
  '/ends': sleeper,
  // An ignored signal stays ignored after exec.
  '/ignores': ['-c', 'trap "" TERM; exec sh "$0"', ...sleeper]
}
// So that the start of the probe does not count as a block.
const probeBeforeMs = 20

const app = Fastify()
await app.register(subprocessGuard, { timeout: Number(timeout), grace: Number(grace) })
const scopes: Scope[] = []
for (const [path, args] of Object.entries(commands)) {
  app.get(path, async (request) => {
    scopes.push(request.subprocesses)
    const [code] = await once(request.spawn('sh', args), 'close')
    return { code }
  })
}
await app.listen({ host: '127.0.0.1', port: 0 })
process.once('disconnect', () => app.close())

/** Moves the deadlines of all requests to the latest one, and returns that, by `performance.now()`. */
function align(): number {
  const now = performance.now()
  const remaining = scopes.map((scope) => scope.remaining)
  const latest = Math.max(...remaining)
  for (const [index, scope] of scopes.entries()) {
    scope.extend(Math.round(latest - (remaining[index] as number)))
  }
  return now + latest
}

act({
  port: () => (app.server.address() as AddressInfo).port,

  /** Extends all deadlines. */
  extend(ms: number) {
    for (const scope of scopes) scope.extend(ms)
  },

  /** Resolves when the common deadline has passed and every scope is closed. */
  async meet(count: number): Promise<Met> {
    ensure(scopes.length === count, `${scopes.length} of ${count} scopes are open`)
    const deadline = align()
    const deadlineAt = sharedNow() + deadline - performance.now()
    await wait(deadline - performance.now() - probeBeforeMs)
    const probe = new LoopProbe()
    const reports = await Promise.all(scopes.map(({ closed }) => closed))
    const closedAt = sharedNow()
    const [longest, longestOwn] = [probe.longest('wallMs'), probe.longest('ownMs')]
    probe.stop()
    for (const { reason, processes, survivors } of reports) {
      const isRight = reason === 'deadline' && processes.length === 1 && survivors.length === 0
      ensure(isRight, `a scope closed with ${reason} and ${JSON.stringify(processes)}`)
    }
    scopes.length = 0
    return { deadlineAt, closedAt, longest, longestOwn }
  }
})
