/** Spawns the process of a keeper. */

import { type ChildProcess, spawn } from 'node:child_process'
import { platform } from '../platform/current.js'
import { keeperMarkName, markName, noNewPrivilegesName } from '../wire/mark.js'

// A keeper is idle most of the time. It needs no threads for garbage collection and a small young generation,
// and it gives the memory of its start back (`keeper/free-memory.ts`). With a thousand subprocesses this
// saves 7 MB of 22.
const keeperFlags = ['--v8-pool-size=0', '--expose-gc', '--max-semi-space-size=1', '--optimize-for-size']

/** What a keeper is started with. */
export interface KeeperStart {
  /** The keeper's file. */
  readonly entry: string
  readonly workerMark: string
  /** Whether its commands must not get more rights than it has. */
  readonly noNewPrivileges: boolean
}

/**
 * Runs the keeper's file (see `findEntry`). Descriptor 3 is the socket to the worker. Throws what
 * `child_process.spawn` throws.
 */
export function spawnKeeper({ entry, workerMark, noNewPrivileges }: KeeperStart): ChildProcess {
  const denier = noNewPrivileges ? platform.privilegeDenier?.() : undefined
  const command = [process.execPath, ...keeperFlags, entry]
  const [file = process.execPath, ...args] = denier === undefined ? command : [...denier, ...command]
  return spawn(file, args, {
    // The worker's own streams, for subprocesses that inherit them, and the socket.
    // On Windows, the keeper can wait for orders and send messages at the same time only if it is overlapped.
    stdio: ['inherit', 'inherit', 'inherit', 'overlapped'],
    // A session of its own: signals of a terminal, or to the worker's process group, do not reach the keeper. On
    // Windows: no console, and not in the job that ends the worker's children with it.
    detached: true,
    windowsHide: true,
    // The keeper keeps no directory of the worker in use. Commands get the worker's current one.
    cwd: platform.neutralFolder,
    env: {
      ...keeperEnvironment(),
      [keeperMarkName]: workerMark,
      ...(noNewPrivileges ? { [noNewPrivilegesName]: '1' } : {})
    }
  })
}

/**
 * The worker's environment without variables that configure Node, since a preload or a heap limit is meant
 * for the worker, and without a mark: the keeper does not belong to any scope.
 */
function keeperEnvironment(): NodeJS.ProcessEnv {
  const entries = Object.entries(process.env).filter(
    ([name]) => !name.startsWith('NODE_') && name !== markName
  )
  return Object.fromEntries(entries)
}

/** What to do about a failed spawn, to append to its error message. Empty if unknown. */
export function wayOutOf({ code }: NodeJS.ErrnoException): string {
  if (code !== 'EAGAIN') return ''
  const limits = 'raise the limit of the user (ulimit -u) or of the container (pids)'
  return `: there is no room for another process; ${limits}`
}
