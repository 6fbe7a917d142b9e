/**
 * Launch by the worker itself, for what cannot cross a socket to the keeper: a channel for messages, descriptors
 * above 2, streams and numbers as stdio. The keeper is told in the same step, and ends it like the rest.
 */

import { type ChildProcess, fork, spawn } from 'node:child_process'
import { Socket } from 'node:net'
import { SubprocessError } from '../errors.js'
import { nextCommandNumber } from '../link/sequence-numbers.js'
import type { FirstSignalTo } from '../options.js'
import { mayCallSetsid, statOf } from '../platform/current.js'
import { firstSignalToOf } from '../validate-option.js'
import { commandNumberName, markName } from '../wire/mark.js'
import { captureIn } from './capture.js'
import {
  environment,
  type ForkOptions,
  isLeftOut,
  refuseDetached,
  type SpawnOptions,
  signalName
} from './command.js'
import { override } from './override-method.js'
import { endWhenSilent } from './stdio-sockets.js'
import type { Subprocess, SubprocessOwner } from './subprocess.js'
import { type TerminationReport, terminationReport } from './termination-report.js'
import { endEarly } from './timeout-and-signal.js'

/** Starts a command as a child of the worker. Throws what `child_process.spawn` throws. */
export function spawnDirect(
  owner: SubprocessOwner,
  command: string,
  args: readonly string[],
  options: SpawnOptions,
  variables: Record<string, string> = {}
): Subprocess {
  return start(owner, options, variables, (given) =>
    spawn(command, args, { ...given, detached: !mayCallSetsid(command, args) } as object)
  )
}

/** Starts a Node program with a channel for messages. Throws what `child_process.fork` throws. */
export function forkDirect(
  owner: SubprocessOwner,
  modulePath: string | URL,
  args: readonly string[],
  options: ForkOptions,
  variables: Record<string, string> = {}
): Subprocess {
  return start(owner, options, variables, (given) => fork(modulePath, args, given))
}

function start(
  owner: SubprocessOwner,
  options: SpawnOptions | ForkOptions,
  variables: Record<string, string>,
  startWith: (given: object) => ChildProcess
): Subprocess {
  refuseDetached(options)
  const { firstSignalTo: to, killSignal } = options
  const firstSignalTo = isLeftOut(to) ? undefined : firstSignalToOf('options.firstSignalTo', to)
  const number = nextCommandNumber()
  const given = { ...options, ...contained(owner, number, options, variables), ...withoutEarlyEnd(options) }
  return takeIn(
    owner,
    {
      number,
      firstSignalTo,
      timeout: options.timeout,
      signal: options.signal,
      killSignal: isLeftOut(killSignal) ? 'SIGTERM' : signalName('options.killSignal', killSignal)
    },
    () => startWith(given)
  )
}

/** How one command is ended. */
interface Ending {
  readonly number: number
  readonly firstSignalTo: FirstSignalTo | undefined
  readonly timeout: number | undefined
  readonly signal: AbortSignal | undefined
  readonly killSignal: NodeJS.Signals
}

/** Node would end the command alone. What is wrong with one of these it says all the same. */
function withoutEarlyEnd({ timeout, signal }: SpawnOptions | ForkOptions): object {
  return {
    timeout: Number.isInteger(timeout) && (timeout as number) >= 0 ? undefined : timeout,
    signal: typeof signal === 'object' && signal !== null && 'aborted' in signal ? undefined : signal
  }
}

/** A session of its own, so that its group's number is its own, the mark of its scope, and its number there. */
function contained(
  owner: SubprocessOwner,
  number: number,
  { env, stdio }: SpawnOptions | ForkOptions,
  variables: Record<string, string>
): object {
  const mark = owner.link.markOf(owner.keeperScope)
  return {
    detached: true,
    env: { ...environment(env), ...variables, [markName]: mark, [commandNumberName]: String(number) },
    // Node fills up an array that is short, and this one is the caller's.
    stdio: Array.isArray(stdio) ? [...stdio] : stdio
  }
}

function takeIn(owner: SubprocessOwner, ending: Ending, start: () => ChildProcess): Subprocess {
  // It belongs to this scope, whichever one captures what else is created here.
  const child = captureIn(undefined, start)
  const { pid } = child
  if (pid === undefined) {
    // Node 20 sends the signal to a process id that was never set: often 0, which is the worker's own process group.
    override(child, 'kill', killNothing)
  } else {
    // We are its parent and have not reaped it: the number is its own.
    const { number, firstSignalTo } = ending
    const name = { pid, startTick: statOf(pid)?.startTick ?? 0 }
    owner.link.adopt(owner.keeperScope, name, { number, firstSignalTo })
  }
  // Node gives a child for which there were no descriptors no list.
  const streams = (child.stdio ?? []).filter((stream) => stream instanceof Socket)
  // Of pipes above descriptor 2, too: 'close' waits for each.
  const outputs = streams.filter((stream) => stream !== child.stdin)
  let hasExited = false
  const exited = (): void => {
    if (hasExited) return
    hasExited = true
    stopHeeding()
    if (pid !== undefined) owner.link.reportReaped(owner.keeperScope, pid)
    owner.subprocessEnding()
    owner.subprocessEnded(child)
    for (const output of outputs) endWhenSilent(output)
  }
  owner.hold.add(child, exited)
  // No listeners: a handle shows those of its user alone, and whoever listens would be told though that has closed the scope.
  before(child, 'emit', (event, value) => {
    if (event === 'exit') exited()
    else if (event === 'close') owner.hold.delete(child)
    if (event !== 'error') return
    if (pid === undefined) owner.subprocessEnded(child)
    if (child.listenerCount('error') > 0) return
    owner.logError(value as Error, child)
    return 'done'
  })
  // 'exit' may come later than the end of the output.
  for (const output of outputs) {
    before(output, 'push', (chunk) => {
      if (chunk === null) owner.subprocessEnding()
    })
  }
  // A server does not end because a command closed its standard input early. That its scope has closed is told already.
  for (const stream of streams) {
    stream.on('error', (error) => {
      if (stream.listenerCount('error') === 1 && !(error instanceof SubprocessError)) {
        owner.logError(error, child)
      }
    })
  }
  const { timeout: timeoutMs = 0, signal, killSignal } = ending
  let termination: Promise<TerminationReport> | undefined
  const terminate = (): Promise<TerminationReport> => {
    if (pid === undefined) return Promise.resolve(terminationReport([]))
    if (!hasExited) Object.assign(child, { killed: true })
    termination ??= owner.terminate(child, ending.number, killSignal).finally(() => {
      termination = undefined
    })
    return termination
  }
  const stopHeeding = endEarly({
    timeoutMs,
    signal,
    end: () => {
      if (pid === undefined || hasExited) return false
      void terminate()
      return true
    },
    aborted: (error) => child.emit('error', error)
  })
  return Object.assign(child, {
    terminate,
    [Symbol.asyncDispose]: () => terminate().then(() => {})
  }) as Subprocess
}

/** `kill()` of a command that was not started. Throws a TypeError for a signal that does not exist. */
function killNothing(signal: NodeJS.Signals | number = 'SIGTERM'): boolean {
  if (signal !== 0) signalName('signal', signal)
  return false
}

/**
 * Does something before a method of an object, or in its place: then it returns `'done'`. It may hold the object, which then has
 * another method.
 */
function before<Name extends string>(
  object: { [name in Name]: (...args: never[]) => unknown },
  name: Name,
  act: (...args: unknown[]) => unknown
): void {
  const method = object[name] as (...args: unknown[]) => unknown
  const own = (...args: unknown[]): unknown => {
    if (act(...args) === 'done') return false
    const now = object[name] as (...args: unknown[]) => unknown
    return now === own ? method.apply(object, args) : now.apply(object, args)
  }
  override(object, name, own)
}
