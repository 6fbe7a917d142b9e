/** Starts a process by `child_process`: where posix_spawn(3) is missing, and where the user or group must change. */

import { type ChildProcess, spawn } from 'node:child_process'
import type { Socket } from 'node:net'
import { constants } from 'node:os'
import { reapedByNode } from '../containment/reap-children.js'
import { usageOfLastReaped } from '../containment/reaped-usage.js'
import { CgroupError, platform } from '../platform/current.js'
import { commandNumberName, markName } from '../wire/mark.js'
import type { LaunchFailure } from '../wire/messages.js'
import { findProgram, shell } from './find-program.js'
import type { StartEvents, StartProcess, StartRequest } from './process-starter.js'

export const startByChildProcess: StartProcess = (request, events) => {
  const child = spawnOrFail(request, events)
  const pid = child?.pid
  if (child === undefined || pid === undefined) {
    child?.once('error', (error: NodeJS.ErrnoException) => events.failed(failureOf(error)))
    return undefined
  }
  reapedByNode.add(pid)
  // After the start, 'error' means that a signal was refused (EPERM). The process lives on, and the report of
  // its scope will name it.
  child.on('error', () => {})
  child.once('exit', (code, signal) => {
    reapedByNode.delete(pid)
    events.exited(code, signal, usageOfLastReaped())
  })
  return { pid, kill: (signal) => void child.kill(signal) }
}

function spawnOrFail(request: StartRequest, events: StartEvents): ChildProcess | undefined {
  try {
    const spawnNow = (): ChildProcess => spawnProgramOrScript(request)
    const { cgroup } = request
    return cgroup === undefined ? spawnNow() : platform.cgroups?.inside(cgroup, spawnNow)
  } catch (error) {
    if (error instanceof CgroupError) throw error
    // Node throws what it considers a mistake of the caller, such as E2BIG.
    events.failed(failureOf(error as NodeJS.ErrnoException))
    return undefined
  }
}

/** The shell runs a script without a `#!` line. glibc's execvp(3) does that; musl's fails with ENOEXEC. */
function spawnProgramOrScript(request: StartRequest): ChildProcess {
  const { file, args } = request
  try {
    return spawnFile(file, args, request)
  } catch (error) {
    // Node has no error code for ENOEXEC.
    const isScript = (error as NodeJS.ErrnoException).errno === -constants.errno.ENOEXEC
    const path = isScript ? findProgram(request) : undefined
    if (path === undefined) throw error
    return spawnFile(shell, [shell, path, ...args.slice(1)], request)
  }
}

function spawnFile(
  file: string,
  args: readonly string[],
  { cwd, env, mark, command, uid, gid, stdio }: StartRequest
): ChildProcess {
  return spawn(file, args.slice(1), {
    argv0: args[0],
    cwd,
    env: { ...env, [markName]: mark, [commandNumberName]: String(command) },
    stdio: [...(stdio as (Socket | 'inherit' | 'ignore')[])],
    // Starts a session, so that the process leads a group of its own, without any process of ours in it.
    detached: true,
    ...(uid === undefined ? {} : { uid }),
    ...(gid === undefined ? {} : { gid })
  })
}

function failureOf({ code = 'UNKNOWN', errno, message }: NodeJS.ErrnoException): LaunchFailure {
  return { code, message, ...(errno === undefined ? {} : { errno }) }
}
