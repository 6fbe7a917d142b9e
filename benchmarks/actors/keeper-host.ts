/** A worker that has nothing to do but to have a keeper. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { performance } from 'node:perf_hooks'
import { createGuard, type Guard } from 'fastify-subprocess-guard'
import { act } from '../harness/actor.js'

let guard: Guard | undefined
process.once('disconnect', () => guard?.close())

act({
  /** How long a guard takes to be ready, in ms. */
  async guard() {
    const startedAt = performance.now()
    guard = await createGuard({ timeout: false })
    return performance.now() - startedAt
  },

  /** How long a Node process takes that has nothing to do, from its start to its end, in ms. */
  async child_process() {
    const startedAt = performance.now()
    await once(spawn(process.execPath, ['-e', '0'], { stdio: 'ignore' }), 'exit')
    return performance.now() - startedAt
  },

  /** Process id of the keeper. */
  keeper: () => guard?.keeper,

  /** Starts so many commands, in a scope each, and resolves when all run. */
  async run(count: number) {
    const commands = Array.from({ length: count }, () => guard?.open().spawn('sleep', ['1000']))
    await Promise.all(commands.map((command) => command?.pid ?? once(command as never, 'spawn')))
    return commands.filter((command) => command?.exitCode === null).length
  },

  close: () => guard?.close()
})
