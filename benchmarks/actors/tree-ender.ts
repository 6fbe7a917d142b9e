/** Starts process trees and ends them. Argument: contestant. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { rmdirSync, writeFileSync } from 'node:fs'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import fkill from 'fkill'
import pidtree from 'pidtree'
import terminate from 'terminate/promise'
import treeKill from 'tree-kill'
import { act } from '../harness/actor.js'
import { createGuardAt, makeCgroup } from '../harness/cgroups.js'
import { sharedNow } from '../harness/clock.js'
import { kill } from '../harness/processes.js'

const [contestant = ''] = process.argv.slice(2)

/** Ends the tree. Resolves when the contestant considers it ended. */
type End = () => unknown
type Start = (args: readonly string[], env: NodeJS.ProcessEnv) => Promise<End>

const startOf: Record<string, () => Start | Promise<Start>> = {
  guard: () => guarded('SIGTERM'),
  'guard, SIGKILL': () => guarded('SIGKILL'),
  'guard, cgroup': () => guarded('SIGTERM', 'cgroup'),
  'guard, cgroup, SIGKILL': () => guarded('SIGKILL', 'cgroup'),
  'guard, subreaper': () => guarded('SIGTERM', 'subreaper'),
  'guard, subreaper, SIGKILL': () => guarded('SIGKILL', 'subreaper'),
  'cgroup.kill': endingByCgroup,
  'kill(-pgid)': () => ending((pid) => process.kill(-pid, 'SIGKILL')),
  'kill(-pgid) by a sidecar': async () => {
    const sidecar = await startSidecar()
    return ending((pid) => sidecar.write(`${pid}\n`))
  },
  'tree-kill': () => ending((pid) => promisify<number, string>(treeKill)(pid, 'SIGKILL')),
  terminate: () => ending((pid) => terminate(pid, 'SIGKILL')),
  fkill: () => ending((pid) => fkill(pid, { tree: true, force: true })),
  pidtree: () =>
    ending(async (pid) => {
      for (const each of await pidtree(pid, { root: true })) kill(each)
    }),
  'execa killDescendants': async () => {
    const { execa } = await import('execa10')
    return async (args, env) => {
      const child = execa('sh', args, { env, stdio: 'ignore', reject: false, killDescendants: true })
      return async () => {
        child.kill('SIGKILL')
        await child
      }
    }
  }
}

async function guarded(killSignal: NodeJS.Signals, level?: 'cgroup' | 'subreaper'): Promise<Start> {
  const guard = await createGuardAt(level, { timeout: false, killSignal })
  process.once('disconnect', () => guard.close())
  return async (args, env) => {
    const scope = guard.open()
    await once(scope.spawn('sh', args, { env, stdio: 'ignore' }), 'spawn')
    return () => scope.close()
  }
}

/** Starts the tree in a cgroup, and ends it by the file of the kernel that does that. */
function endingByCgroup(): Start {
  const folder = makeCgroup()
  process.once('disconnect', () => rmdirSync(folder))
  const enter = 'echo 0 >"$0/cgroup.procs" && exec sh "$@"'
  return async (args, env) => {
    const options = { env, stdio: 'ignore', detached: true } as const
    await once(spawn('sh', ['-c', enter, folder, ...args], options), 'spawn')
    return () => writeFileSync(join(folder, 'cgroup.kill'), '1')
  }
}

/**
 * Starts the tree with `child_process` in its own session, like the guard, and ends it by its leader's pid.
 */
function ending(end: (pid: number) => unknown): Start {
  return async (args, env) => {
    const child = spawn('sh', args, { env, stdio: 'ignore', detached: true })
    await once(child, 'spawn')
    return () => end(child.pid as number)
  }
}

/** A Node process that signals the groups whose numbers it is sent. It ends with this process. */
async function startSidecar(): Promise<Socket> {
  const file = fileURLToPath(new URL('./killer.js', import.meta.url))
  const child = spawn(process.execPath, [file], { stdio: ['ignore', 'inherit', 'inherit', 'pipe'] })
  const link = child.stdio[3] as Socket
  await once(link, 'data')
  child.unref()
  link.unref()
  return link
}

const start = (await startOf[contestant]?.()) as Start
let end: End = () => {}
let done: unknown

act({
  /** Starts `sh` with these arguments. */
  async start(args: readonly string[], env: NodeJS.ProcessEnv) {
    end = await start(args, env)
  },

  /** Starts to end the tree. Returns the time of the call, by the shared clock. */
  end() {
    const calledAt = sharedNow()
    done = end()
    return calledAt
  },

  /** Resolves when the contestant considers the tree ended, with the time of that, by the shared clock. */
  async done() {
    await done
    return sharedNow()
  }
})
