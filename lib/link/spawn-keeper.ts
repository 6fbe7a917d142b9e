/** Starts the process of a keeper. */

import { type ChildProcess, spawn } from 'node:child_process'
import { keeperMarkName, markName } from '../wire/mark.js'

// A keeper is idle most of the time: it can do without threads for its garbage, and without room for much of
// it, and gives back what its start has left (`free-memory.ts`). With a thousand subprocesses that is 7 MB of
// 22.
const keeperFlags = ['--v8-pool-size=0', '--expose-gc', '--max-semi-space-size=1', '--optimize-for-size']

/**
 * Runs the keeper's file (`findEntry`). Descriptor 3 is the link. Throws what `child_process.spawn` throws.
 */
export function spawnKeeper(entry: string, workerMark: string): ChildProcess {
  return spawn(process.execPath, [...keeperFlags, entry], {
    // The worker's own streams, for subprocesses that inherit them, and the link.
    stdio: ['inherit', 'inherit', 'inherit', 'pipe'],
    // A session of its own: a terminal's signals and a group kill of the worker do not reach it.
    detached: true,
    // It holds no folder of the worker's; commands get the worker's current one.
    cwd: '/',
    env: { ...keeperEnvironment(), [keeperMarkName]: workerMark }
  })
}

/**
 * The worker's environment without what configures Node, since a preload or a heap limit is meant for the
 * worker, and without a mark: a keeper is nobody's subprocess.
 */
function keeperEnvironment(): NodeJS.ProcessEnv {
  const entries = Object.entries(process.env).filter(
    ([name]) => !name.startsWith('NODE_') && name !== markName
  )
  return Object.fromEntries(entries)
}

/** What to do about a start that failed, to be added to what failed. */
export function wayOutOf({ code }: NodeJS.ErrnoException): string {
  if (code !== 'EAGAIN') return ''
  return ': there is no room for another process; raise the limit of the user (ulimit -u) or of the container (pids)'
}
