/** Starting a process by `child_process`: where there is no `koffi`, and where it is to have other rights. */

import { type ChildProcess, spawn } from 'node:child_process'
import { constants } from 'node:os'
import { reapedByNode } from '../containment/reap-children.js'
import { commandNumberName, markName } from '../wire/mark.js'
import type { LaunchFailure } from '../wire/messages.js'
import { findProgram, shell } from './find-program.js'
import type { Start, StartEvents, StartOrder } from './process-starter.js'

export const startByNode: Start = (order, events) => {
  const child = spawned(order, events)
  const pid = child?.pid
  if (child === undefined || pid === undefined) {
    child?.once('error', (error: NodeJS.ErrnoException) => events.failed(failureOf(error)))
    return undefined
  }
  reapedByNode.add(pid)
  // After the start, 'error' means that a signal was refused (EPERM): the process lives on, and the close of
  // the scope will name it.
  child.on('error', () => {})
  child.once('exit', (code, signal) => {
    reapedByNode.delete(pid)
    events.exited(code, signal)
  })
  return { pid, kill: (signal) => void child.kill(signal) }
}

function spawned(order: StartOrder, events: StartEvents): ChildProcess | undefined {
  try {
    return spawnOrScript(order)
  } catch (error) {
    // Node throws what it takes for a mistake of the caller, such as E2BIG.
    events.failed(failureOf(error as NodeJS.ErrnoException))
    return undefined
  }
}

/** The execvp(3) of glibc has the shell run a script that names no interpreter; that of musl fails. */
function spawnOrScript(order: StartOrder): ChildProcess {
  const { file, args } = order
  try {
    return spawnAs(file, args, order)
  } catch (error) {
    // Node has no name for this one.
    const isScript = (error as NodeJS.ErrnoException).errno === -constants.errno.ENOEXEC
    const path = isScript ? findProgram(order) : undefined
    if (path === undefined) throw error
    return spawnAs(shell, [shell, path, ...args.slice(1)], order)
  }
}

function spawnAs(
  file: string,
  args: readonly string[],
  { cwd, env, mark, command, uid, gid, stdio }: StartOrder
): ChildProcess {
  return spawn(file, args.slice(1), {
    argv0: args[0],
    cwd,
    env: { ...env, [markName]: mark, [commandNumberName]: String(command) },
    stdio: [...stdio],
    // Its own session, so that its group's number is its own and nothing of ours is in it.
    detached: true,
    ...(uid === undefined ? {} : { uid }),
    ...(gid === undefined ? {} : { gid })
  })
}

function failureOf({ code = 'UNKNOWN', errno, message }: NodeJS.ErrnoException): LaunchFailure {
  return { code, message, ...(errno === undefined ? {} : { errno }) }
}
