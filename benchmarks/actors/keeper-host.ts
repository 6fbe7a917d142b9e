/** A worker that does nothing but have a keeper. */

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { performance } from 'node:perf_hooks'
import { createGuard, type Guard, type GuardOptions } from 'fastify-subprocess-guard'
import { act } from '../harness/actor.js'

let guard: Guard | undefined
let commands: readonly ChildProcess[] = []
process.once('disconnect', () => guard?.close())

function running(): number {
  return commands.filter(({ exitCode, signalCode }) => exitCode === null && signalCode === null).length
}

act({
  /** The time until a guard is ready, in ms. */
  async guard(options: GuardOptions = {}) {
    const startedAt = performance.now()
    guard = await createGuard({ timeout: false, ...options })
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
    const open = guard as Guard
    commands = Array.from({ length: count }, () => open.open().spawn('sleep', ['1000']))
    await Promise.all(commands.map((command) => command.pid ?? once(command, 'spawn')))
    return running()
  },

  /** How many of the commands run. */
  running,

  close: () => guard?.close()
})
