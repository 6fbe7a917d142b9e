/** A worker with many subprocesses that will be killed. Argument: contestant. */

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { execa } from 'execa'
import { createGuard } from 'fastify-subprocess-guard'
import { act } from '../harness/actor.js'
import { sharedNow } from '../harness/clock.js'
import { sleeper } from '../harness/sleepers.js'

const [contestant = ''] = process.argv.slice(2)

type Start = (env: NodeJS.ProcessEnv) => {
  readonly pid?: number | undefined
  readonly started: Promise<unknown>
}

/** The pid of the keeper, if the contestant has one. */
let keeper = 0

const startOf: Record<string, () => Start | Promise<Start>> = {
  guard: async () => {
    const guard = await createGuard({ timeout: false })
    process.once('disconnect', () => guard.close())
    keeper = guard.keeper
    const scope = guard.open()
    return (env) => ({ started: once(scope.spawn('sh', sleeper, { env, stdio: 'ignore' }), 'spawn') })
  },
  child_process: () => (env) => starting(spawn('sh', sleeper, { env, stdio: 'ignore' })),
  'kill(-pgid)': () => (env) => starting(spawn('sh', sleeper, { env, stdio: 'ignore', detached: true })),
  'execa cleanup': () => (env) => {
    const child = execa('sh', sleeper, { env, stdio: 'ignore', reject: false })
    return starting(child)
  }
}

function starting(child: Pick<ChildProcess, 'pid'> & NodeJS.EventEmitter): ReturnType<Start> {
  return { pid: child.pid, started: once(child, 'spawn') }
}

const start = (await startOf[contestant]?.()) as Start
const groups: number[] = []

act({
  /** Resolves when that many commands have started. */
  async start(count: number, env: NodeJS.ProcessEnv) {
    const all = Array.from({ length: count }, () => start(env))
    await Promise.all(all.map(({ started }) => started))
    groups.push(...all.flatMap(({ pid }) => pid ?? []))
  },

  keeper: () => keeper,

  /** The least that the machine needs: one signal for each group. Returns the shared time of the first. */
  killGroups() {
    const startedAt = sharedNow()
    for (const group of groups) process.kill(-group, 'SIGKILL')
    return startedAt
  }
})
