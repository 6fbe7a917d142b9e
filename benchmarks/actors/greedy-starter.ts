/** A worker that starts a program under a limit of its memory. Arguments: contestant, limit in bytes. */

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createGuard } from 'fastify-subprocess-guard'
import pidusage from 'pidusage'
import treeKill from 'tree-kill'
import { act } from '../harness/actor.js'
import { ensure } from '../harness/benchmark.js'

const [contestant = '', limit = ''] = process.argv.slice(2)
const memory = Number(limit)
const pollMs = 100
const silent = { info() {}, warn() {}, error: console.error }

/** Starts the program. Returns a function that resolves when the contestant considers it ended. */
type Start = (command: string, args: string[], env: NodeJS.ProcessEnv) => () => Promise<unknown>

const startOf: Record<string, () => Promise<Start>> = {
  guard: () => guarded('keeper'),
  'guard, direct launch': () => guarded('direct'),
  pidusage: async () => (command, args, env) => {
    const child = spawn(command, args, { env, stdio: 'ignore' })
    const ended = once(child, 'exit')
    watch(child)
    return () => ended
  }
}

async function guarded(launch: 'keeper' | 'direct'): Promise<Start> {
  const guard = await createGuard({ launch, timeout: false, limits: { memory }, logger: silent })
  process.once('disconnect', () => guard.close())
  return (command, args, env) => {
    const scope = guard.open()
    scope.spawn(command, args, { env, stdio: 'ignore' })
    return async () => {
      const { reason, exceeded } = await scope.closed
      const isRight = reason === 'limit' && exceeded?.limit === 'memory' && exceeded.used > memory
      ensure(isRight, `the scope closed with ${reason} ${JSON.stringify(exceeded)}`)
    }
  }
}

/** Ends the tree of a command that has more memory than the limit, or leaves it alone once it has ended. */
function watch(child: ChildProcess): void {
  const pid = child.pid as number
  const timer = setInterval(async () => {
    // It rejects if the process has ended meanwhile.
    const used = await pidusage(pid).catch(() => undefined)
    if (used !== undefined && used.memory > memory) treeKill(pid, 'SIGKILL')
  }, pollMs)
  child.once('exit', () => clearInterval(timer))
}

const start = (await startOf[contestant]?.()) as Start
let done = async (): Promise<unknown> => undefined

act({
  start(command: string, args: string[], env: NodeJS.ProcessEnv) {
    done = start(command, args, env)
  },

  /** Resolves when the contestant considers the program ended. */
  done: () => done()
})
