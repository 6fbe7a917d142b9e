/** Starts a process by posix_spawn(3). `containment/reap-children.ts` reaps it. */

import type { Socket } from 'node:net'
import { getSystemErrorName } from 'node:util'
import { reapedByWaitpid } from '../containment/reap-children.js'
import { type InNewGroup, mayCallSetsid, type PosixSpawn, platform } from '../platform/current.js'
import { commandNumberName, markName } from '../wire/mark.js'
import type { LaunchFailure } from '../wire/messages.js'
import { startProgram } from './find-program.js'
import type { StartedProcess, StartProcess, StartRequest } from './process-starter.js'
import { startByChildProcess } from './start-by-child-process.js'

export function startByPosixSpawn(posixSpawn: PosixSpawn, inNewGroup: InNewGroup): StartProcess {
  return (request, events) => {
    const { uid, gid, cwd } = request
    // posix_spawn cannot change them.
    if (uid !== undefined || gid !== undefined) return startByChildProcess(request, events)
    const { mark, command, cgroup } = request
    const env = [`${markName}=${mark}`, `${commandNumberName}=${command}`, ...environmentEntries(request.env)]
    const stdio = request.stdio.map((stream) =>
      typeof stream === 'string' ? stream : descriptorOf(stream as Socket)
    )
    const startIn = (group: number | undefined): number =>
      startProgram(request, (path, args) => posixSpawn({ path, args, env, cwd, stdio, group, cgroup }))
    const pid = mayCallSetsid(request.file, request.args) ? inNewGroup(startIn) : startIn(undefined)
    if (pid < 0) {
      events.failed(failureOf(request, pid))
      return undefined
    }
    reapedByWaitpid.set(pid, events)
    return new PosixProcess(pid)
  }
}

// A class: a closure would keep everything in memory that the process was started with.
class PosixProcess implements StartedProcess {
  readonly pid: number

  constructor(pid: number) {
    this.pid = pid
  }

  kill(signal: NodeJS.Signals): void {
    platform.signalByPid(this.pid, signal, () => reapedByWaitpid.has(this.pid))
  }
}

// Most launches share the environment of the worker.
const entriesByEnvironment = new WeakMap<object, readonly string[]>()

/** As `NAME=value`, without a mark or command number that the environment may contain. */
function environmentEntries(env: StartRequest['env']): readonly string[] {
  let entries = entriesByEnvironment.get(env)
  if (entries === undefined) {
    entries = Object.entries(env).flatMap(([name, value]) =>
      name === markName || name === commandNumberName ? [] : `${name}=${value}`
    )
    entriesByEnvironment.set(env, entries)
  }
  return entries
}

/** Node has no public property for it. It passes sockets to its own children by this one. */
function descriptorOf(socket: Socket): number {
  return (socket as unknown as { _handle: { fd: number } })._handle.fd
}

/** Node's wording: the message names the command if Node emits the error, and not if Node throws it. */
function failureOf({ file }: StartRequest, errno: number): LaunchFailure {
  const code = getSystemErrorName(errno)
  const isThrown = !['EACCES', 'EAGAIN', 'EMFILE', 'ENFILE', 'ENOENT'].includes(code)
  return { code, errno, message: isThrown ? `spawn ${code}` : `spawn ${file} ${code}` }
}
