/**
 * Launch by the worker itself, for what cannot cross a socket to the keeper: a channel for messages, descriptors
 * above 2, streams and numbers as stdio. The keeper is told in the same step, and ends it like the rest.
 */

import { type ChildProcess, type ForkOptions, fork, spawn } from 'node:child_process'
import { Socket } from 'node:net'
import { captureIn } from './capture.js'
import { environment, refuseOptions, type SpawnOptions, signalName } from './command.js'
import { SubprocessError } from './errors.js'
import { markName } from './mark.js'
import { override } from './override.js'
import { statOf } from './platform/linux.js'
import { endWhenSilent } from './stdio.js'
import { endOne, type Subprocess, type SubprocessOwner } from './subprocess.js'

// What `fork` has beyond `spawn`.
const forkNames = ['execPath', 'execArgv', 'silent']

/** Starts a command as a child of the worker. Throws what `child_process.spawn` throws. */
export function spawnDirect(
  owner: SubprocessOwner,
  command: string,
  args: readonly string[],
  options: SpawnOptions
): Subprocess {
  refuseOptions(options)
  const given = { ...options, ...contained(owner, options) } as object
  return takeIn(owner, () => spawn(command, args, given))
}

/** Starts a Node program with a channel for messages. Throws what `child_process.fork` throws. */
export function forkDirect(
  owner: SubprocessOwner,
  modulePath: string | URL,
  args: readonly string[],
  options: ForkOptions
): Subprocess {
  refuseOptions(options, forkNames)
  const given = { ...options, ...contained(owner, options) } as object
  return takeIn(owner, () => fork(modulePath, args, given))
}

/** A session of its own, so that its group's number is its own, and the mark of its scope. */
function contained(owner: SubprocessOwner, { env, stdio }: SpawnOptions | ForkOptions): object {
  const mark = owner.link.markOf(owner.keeperScope)
  return {
    detached: true,
    env: { ...environment(env), [markName]: mark },
    // Node fills up an array that is short, and this one is the caller's.
    stdio: Array.isArray(stdio) ? [...stdio] : stdio
  }
}

function takeIn(owner: SubprocessOwner, start: () => ChildProcess): Subprocess {
  // It belongs to this scope, whichever one captures what else is created here.
  const child = captureIn(undefined, start)
  const { pid } = child
  if (pid === undefined) {
    // Node 20 sends the signal to a process id that was never set: often 0, which is the worker's own process group.
    override(child, 'kill', killNothing)
  } else {
    // We are its parent and have not reaped it: the number is its own.
    owner.link.adopt(owner.keeperScope, { pid, startTick: statOf(pid)?.startTick ?? 0 })
  }
  // Node gives a child for which there were no descriptors no list.
  const streams = (child.stdio ?? []).filter((stream) => stream instanceof Socket)
  // Of pipes above descriptor 2, too: 'close' waits for each.
  const outputs = streams.filter((stream) => stream !== child.stdin)
  let hasExited = false
  const exited = (): void => {
    if (hasExited) return
    hasExited = true
    if (pid !== undefined) owner.link.left(owner.keeperScope, pid)
    owner.subprocessEnding()
    owner.subprocessEnded(child)
    for (const output of outputs) endWhenSilent(output)
  }
  owner.hold.add(child, exited)
  child.once('close', () => owner.hold.delete(child))
  // By a listener, whoever listens would be told though that has closed the scope.
  before(child, 'emit', (event) => {
    if (event === 'exit') exited()
  })
  // 'exit' may come later than the end of the output.
  for (const output of outputs) {
    before(output, 'push', (chunk) => {
      if (chunk === null) owner.subprocessEnding()
    })
  }
  child.on('error', (error) => {
    if (pid === undefined) owner.subprocessEnded(child)
    if (child.listenerCount('error') === 1) owner.logError(error, child)
  })
  // A server does not end because a command closed its standard input early. That its scope has closed is told already.
  for (const stream of streams) {
    stream.on('error', (error) => {
      if (stream.listenerCount('error') === 1 && !(error instanceof SubprocessError)) {
        owner.logError(error, child)
      }
    })
  }
  return Object.assign(child, {
    [Symbol.asyncDispose]: () => endOne(child, owner.graceMs)
  }) as Subprocess
}

/** `kill()` of a command that was not started. Throws a TypeError for a signal that does not exist. */
function killNothing(signal: NodeJS.Signals | number = 'SIGTERM'): boolean {
  if (signal !== 0) signalName('signal', signal)
  return false
}

/** Does something before a method of an object. That may hold the object, which then has another method. */
function before<Name extends string>(
  object: { [name in Name]: (...args: never[]) => unknown },
  name: Name,
  act: (first: unknown) => void
): void {
  const method = object[name] as (...args: unknown[]) => unknown
  const own = (...args: unknown[]): unknown => {
    act(args[0])
    const now = object[name] as (...args: unknown[]) => unknown
    return now === own ? method.apply(object, args) : now.apply(object, args)
  }
  override(object, name, own)
}
