/** A worker that does nothing but have a keeper. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { performance } from 'node:perf_hooks'
import { createGuard, type Guard } from 'fastify-subprocess-guard'
import { act } from '../harness/actor.js'

let guard: Guard | undefined
process.once('disconnect', () => guard?.close())

act({
  /** The time until a guard is ready, in ms. */
  async guard() {
    const startedAt = performance.now()
    guard = await createGuard({ timeout: false })
    return performance.now() - startedAt
  },

  /** The time from start to end of a Node process that does nothing, in ms. */
  async child_process() {
    const startedAt = performance.now()
    await once(spawn(process.execPath, ['-e', '0'], { stdio: 'ignore' }), 'exit')
    return performance.now() - startedAt
  },

  /** The pid of the keeper. */
  keeper: () => guard?.keeper,

  /** Starts that many commands, each in its own scope. Resolves when all run. */
  async run(count: number) {
    const commands = Array.from({ length: count }, () => guard?.open().spawn('sleep', ['1000']))
    await Promise.all(commands.map((command) => command?.pid ?? once(command as never, 'spawn')))
    return commands.filter((command) => command?.exitCode === null).length
  },

  close: () => guard?.close()
})
