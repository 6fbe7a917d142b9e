/** Starting a process by posix_spawn(3). Whoever looks at the keeper's children collects it (`containment/reap-children.ts`). */

import type { Socket } from 'node:net'
import { getSystemErrorName } from 'node:util'
import { reapedByWaitpid } from '../containment/reap-children.js'
import { type InNewGroup, namesSetsid, type PosixSpawn, signalByNumber } from '../platform/current.js'
import { commandNumberName, markName } from '../wire/mark.js'
import type { LaunchFailure } from '../wire/messages.js'
import { startFound } from './find-program.js'
import type { Start, Started, StartOrder } from './process-starter.js'
import { startByNode } from './start-by-child-process.js'

export function startBy(posixSpawn: PosixSpawn, inNewGroup: InNewGroup): Start {
  return (order, events) => {
    const { uid, gid, cwd } = order
    // posix_spawn cannot change them.
    if (uid !== undefined || gid !== undefined) return startByNode(order, events)
    const { mark, command } = order
    const env = [`${markName}=${mark}`, `${commandNumberName}=${command}`, ...entriesOf(order.env)]
    const stdio = order.stdio.map((stream) => (typeof stream === 'string' ? stream : descriptorOf(stream)))
    const startIn = (group: number | undefined): number =>
      startFound(order, (path, args) => posixSpawn({ path, args, env, cwd, stdio, group }))
    const pid = namesSetsid(order.file, order.args) ? inNewGroup(startIn) : startIn(undefined)
    if (pid < 0) {
      events.failed(failureOf(order, pid))
      return undefined
    }
    reapedByWaitpid.set(pid, events)
    return new PosixProcess(pid)
  }
}

// An object of its own: a closure would keep all that the process was started with.
class PosixProcess implements Started {
  readonly pid: number

  constructor(pid: number) {
    this.pid = pid
  }

  kill(signal: NodeJS.Signals): void {
    signalByNumber(this.pid, signal, () => reapedByWaitpid.has(this.pid))
  }
}

// That of the worker is in most launches.
const entriesByEnvironment = new WeakMap<object, readonly string[]>()

/** As `NAME=value`, but for a mark and the number of a command. */
function entriesOf(env: StartOrder['env']): readonly string[] {
  let entries = entriesByEnvironment.get(env)
  if (entries === undefined) {
    entries = Object.entries(env).flatMap(([name, value]) =>
      name === markName || name === commandNumberName ? [] : `${name}=${value}`
    )
    entriesByEnvironment.set(env, entries)
  }
  return entries
}

/** Node has no public name for it, and hands sockets to its own children by it. */
function descriptorOf(socket: Socket): number {
  return (socket as unknown as { _handle: { fd: number } })._handle.fd
}

/** As Node words it: what it throws does not name the command. */
function failureOf({ file }: StartOrder, errno: number): LaunchFailure {
  const code = getSystemErrorName(errno)
  const isThrown = !['EACCES', 'EAGAIN', 'EMFILE', 'ENFILE', 'ENOENT'].includes(code)
  return { code, errno, message: isThrown ? `spawn ${code}` : `spawn ${file} ${code}` }
}
