/**
 * Direct launch: the worker spawns the process itself, because the keeper cannot receive a channel for
 * messages, descriptors above 2, or streams and numbers as stdio. The keeper adopts the process in the same
 * step, and ends it like any other.
 */

import { type ChildProcess, fork, spawn } from 'node:child_process'
import { nextCommandNumber } from '../link/sequence-numbers.js'
import { mayCallSetsid, platform } from '../platform/current.js'
import { firstSignalToOf } from '../validate-option.js'
import { commandNumberName, markName } from '../wire/mark.js'
import { captureIn } from './capture.js'
import { guardDirectChild } from './direct-subprocess.js'
import { forkWithLimits, spawnWithLimits } from './limited-launch.js'
import { resolveEnvironment } from './resolve-environment.js'
import { type ForkOptions, refuseDetached, type SpawnOptions } from './spawn-options.js'
import type { Subprocess } from './subprocess.js'
import type { SubprocessOwner } from './subprocess-owner.js'
import { isLeftOut, signalName } from './validate-arguments.js'

/** Starts a command as a child of the worker. Throws what `child_process.spawn` throws. */
export function spawnDirect(
  owner: SubprocessOwner,
  command: string,
  args: readonly string[],
  options: SpawnOptions,
  variables: Record<string, string> = {}
): Subprocess {
  const { launchLimits } = owner
  return launch(owner, options, variables, (contained) => {
    const nodeOptions = { ...contained, ...(mayCallSetsid(command, args) ? { detached: false } : {}) }
    return launchLimits === undefined
      ? spawn(command, args, nodeOptions as object)
      : spawnWithLimits(command, args, nodeOptions, launchLimits)
  })
}

/** Starts a Node program with a channel for messages. Throws what `child_process.fork` throws. */
export function forkDirect(
  owner: SubprocessOwner,
  modulePath: string | URL,
  args: readonly string[],
  options: ForkOptions,
  variables: Record<string, string> = {}
): Subprocess {
  const { launchLimits } = owner
  return launch(owner, options, variables, (nodeOptions) =>
    launchLimits === undefined
      ? fork(modulePath, args, nodeOptions as object)
      : forkWithLimits(modulePath, args, nodeOptions, launchLimits)
  )
}

function launch(
  owner: SubprocessOwner,
  options: SpawnOptions | ForkOptions,
  variables: Record<string, string>,
  start: (nodeOptions: ContainedOptions) => ChildProcess
): Subprocess {
  refuseDetached(options)
  const { firstSignalTo: to, timeout, signal, killSignal } = options
  const firstSignalTo = isLeftOut(to) ? undefined : firstSignalToOf('options.firstSignalTo', to)
  const number = nextCommandNumber()
  const contained = containment(owner, number, options, variables)
  const nodeOptions = { ...options, ...contained, ...withoutTimeoutAndSignal(options) }
  const termination = {
    number,
    firstSignalTo,
    timeoutMs: timeout ?? 0,
    signal,
    killSignal: isLeftOut(killSignal) ? 'SIGTERM' : signalName('options.killSignal', killSignal)
  }
  // It belongs to this scope, whichever scope captures children here.
  const child = captureIn(undefined, () => start(nodeOptions))
  return guardDirectChild(child, owner, termination)
}

/** What makes the process findable: a session of its own, the mark of its scope, and its number. */
interface ContainedOptions {
  readonly detached: boolean
  readonly env: Record<string, string>
  /** As the caller gave it. */
  readonly stdio: object | string | undefined
}

function containment(
  owner: SubprocessOwner,
  number: number,
  { env, stdio }: SpawnOptions | ForkOptions,
  variables: Record<string, string>
): ContainedOptions {
  const mark = owner.link.markOf(owner.keeperScope)
  return {
    detached: platform.hasSessions,
    env: { ...resolveEnvironment(env), ...variables, [markName]: mark, [commandNumberName]: String(number) },
    // A copy: Node extends an array of less than three entries in place, and this one is the caller's.
    stdio: Array.isArray(stdio) ? [...stdio] : stdio
  }
}

/**
 * Removes the options that the scope implements, because Node would end only the command's own process.
 * Invalid values stay, so that Node throws.
 */
function withoutTimeoutAndSignal({ timeout, signal }: SpawnOptions | ForkOptions): object {
  return {
    timeout: Number.isInteger(timeout) && (timeout as number) >= 0 ? undefined : timeout,
    signal: typeof signal === 'object' && signal !== null && 'aborted' in signal ? undefined : signal
  }
}
