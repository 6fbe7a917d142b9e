/** Starting a process by `child_process`: where there is no `koffi`, and where it is to have other rights. */

import { type ChildProcess, spawn } from 'node:child_process'
import { collectedByNode } from '../containment/own-children.js'
import { markName } from '../mark.js'
import type { LaunchFailure } from './protocol.js'
import type { Start, StartEvents, StartOrder } from './start.js'

export const startByNode: Start = (order, events) => {
  const child = spawned(order, events)
  const pid = child?.pid
  if (child === undefined || pid === undefined) {
    child?.once('error', (error: NodeJS.ErrnoException) => events.failed(failureOf(error)))
    return undefined
  }
  collectedByNode.add(pid)
  // After the start, 'error' means that a signal was refused (EPERM): the process lives on, and the close of
  // the scope will name it.
  child.on('error', () => {})
  child.once('exit', (code, signal) => {
    collectedByNode.delete(pid)
    events.exited(code, signal)
  })
  return { pid, kill: (signal) => void child.kill(signal) }
}

function spawned(
  { file, args, cwd, env, mark, uid, gid, stdio }: StartOrder,
  events: StartEvents
): ChildProcess | undefined {
  try {
    return spawn(file, args.slice(1), {
      argv0: args[0],
      cwd,
      env: { ...env, [markName]: mark },
      stdio: [...stdio],
      // Its own session, so that its group's number is its own and nothing of ours is in it.
      detached: true,
      ...(uid === undefined ? {} : { uid }),
      ...(gid === undefined ? {} : { gid })
    })
  } catch (error) {
    // Node throws what it takes for a mistake of the caller, such as E2BIG.
    events.failed(failureOf(error as NodeJS.ErrnoException))
    return undefined
  }
}

function failureOf({ code = 'UNKNOWN', errno, message }: NodeJS.ErrnoException): LaunchFailure {
  return { code, message, ...(errno === undefined ? {} : { errno }) }
}
