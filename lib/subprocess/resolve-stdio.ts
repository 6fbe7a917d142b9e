/**
 * The option `stdio`: whether it needs a direct launch, and else the targets of the three standard streams.
 */

import { SubprocessOptionError } from '../errors.js'
import { platform } from '../platform/current.js'
import type { SpawnOptions, Stdio } from './spawn-options.js'
import { isLeftOut } from './validate-arguments.js'

/**
 * Whether the worker has to start the command itself, because the keeper cannot receive a channel for
 * messages, descriptors above 2, or streams and numbers as stdio. On Windows, it has no console either.
 */
export function needsDirectLaunch({ stdio, serialization }: SpawnOptions): boolean {
  // Not isLeftOut(): Node refuses null, and only a direct launch reports that as Node does.
  if (serialization !== undefined) return true
  if (inheritsOwn(stdio)) return true
  if (!Array.isArray(stdio)) return false
  const byKeeper = ['pipe', 'overlapped', 'ignore', 'inherit', undefined, null]
  return stdio.length > 3 || stdio.some((entry) => !byKeeper.includes(entry))
}

/** Whether the command inherits a standard stream that the keeper cannot pass on. */
function inheritsOwn(stdio: SpawnOptions['stdio']): boolean {
  return ([0, 1, 2] as const).some((descriptor) => {
    const entry = Array.isArray(stdio) ? stdio[descriptor] : stdio
    return entry === 'inherit' && !platform.canPassOn(descriptor)
  })
}

/** The targets of descriptors 0, 1 and 2. Throws a TypeError for an invalid value. */
export function resolveStdio(stdio: unknown): [Stdio, Stdio, Stdio] {
  if (isLeftOut(stdio) || typeof stdio === 'string') {
    const target = resolveEntry('options.stdio', stdio)
    return [target, target, target]
  }
  if (!Array.isArray(stdio)) {
    const wayOut = "give 'pipe', 'ignore', 'inherit', or an array of these"
    throw new SubprocessOptionError('options.stdio', stdio, wayOut)
  }
  return [0, 1, 2].map((index) => resolveEntry(`options.stdio[${index}]`, stdio[index])) as [
    Stdio,
    Stdio,
    Stdio
  ]
}

function resolveEntry(name: string, value: unknown): Stdio {
  if (isLeftOut(value) || value === 'overlapped') return 'pipe'
  if (value === 'pipe' || value === 'ignore' || value === 'inherit') return value
  throw new SubprocessOptionError(name, value, "give 'pipe', 'ignore' or 'inherit'")
}
