/** A worker that loses its keeper, and measures how long that blocks its event loop. */

import { once } from 'node:events'
import { createGuard, type Guard, type Scope } from 'fastify-subprocess-guard'
import { act } from '../harness/actor.js'
import { LoopProbe } from '../harness/loop-probe.js'
import { sleeper } from '../harness/sleepers.js'

/** The effect of a loss. */
export interface Loss {
  /** The longest block of the event loop: the time that its thread ran, in ms. */
  readonly blockMs: number
  /** The time until all scopes were closed. */
  readonly tookMs: number
  /** How many processes were ended. */
  readonly ended: number
}

const silent = { info() {}, warn() {}, error() {} }
let guard: Guard
let scopes: Scope[] = []

act({
  async guard() {
    guard = await createGuard({ timeout: false, logger: silent })
  },

  /**
   * Loses a keeper without subprocesses, so that the next loss is followed by a pause. Resolves when the next
   * keeper is ready.
   */
  async loseIdle() {
    process.kill(guard.keeper, 'SIGKILL')
    const lost = guard.keeper
    while (guard.keeper === lost) await new Promise((resolve) => setImmediate(resolve))
    await guard.run({}, (scope) => scope.execFile('true'))
  },

  /** Starts that many commands, each in its own scope. Resolves when all run. */
  async start(count: number, env: NodeJS.ProcessEnv) {
    scopes = Array.from({ length: count }, () => guard.open())
    const commands = scopes.map((scope) => scope.spawn('sh', sleeper, { env, stdio: 'ignore' }))
    await Promise.all(commands.map((command) => command.pid ?? once(command, 'spawn')))
  },

  async lose(): Promise<Loss> {
    const probe = new LoopProbe()
    const lostAt = performance.now()
    process.kill(guard.keeper, 'SIGKILL')
    const reports = await Promise.all(scopes.map(({ closed }) => closed))
    const tookMs = performance.now() - lostAt
    const { ownMs } = probe.longest('ownMs')
    probe.stop()
    return { blockMs: ownMs, tookMs, ended: reports.flatMap(({ processes }) => processes).length }
  },

  close: () => guard.close()
})
