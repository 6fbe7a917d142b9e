/** The options of `spawn` and `fork`: public types, and the names that are known. */

import type { ForkOptions as NodeForkOptions } from 'node:child_process'
import type { Stream } from 'node:stream'
import { SubprocessOptionError } from '../errors.js'
import type { FirstSignalTo } from '../options.js'
import { isLeftOut } from './validate-arguments.js'

/**
 * A standard stream that the keeper sets up: a pipe to the handle, `/dev/null`, or the worker's own stream.
 */
export type Stdio = 'pipe' | 'ignore' | 'inherit'

/** The target of one descriptor of a command, as in `child_process`. */
export type StdioEntry = Stdio | 'overlapped' | 'ipc' | Stream | number | null | undefined

/** `options.stdio`: one value for all three standard streams, or an array with one entry per descriptor. */
export type StdioOption = Stdio | 'overlapped' | readonly StdioEntry[]

/**
 * The option `privateTmp`, which `child_process` does not have. All methods that start a command accept it.
 */
export interface PrivateTmpOption {
  /**
   * Whether the command gets a directory for temporary files, which is removed with the scope. `TMPDIR`,
   * `TMP` and `TEMP` hold its path, except those that `env` sets to a value other than the worker's.
   * Default: the option of the route or the guard.
   */
  privateTmp?: boolean | undefined
}

/** Options of `spawn`, as of `child_process.spawn`. */
export interface SpawnOptions<S extends StdioOption | undefined = StdioOption | undefined>
  extends PrivateTmpOption {
  /** Working directory: a path or a `file:` URL. Default: the worker's at the time of the call. */
  cwd?: string | URL | undefined
  /** Environment of the command. Default: the worker's. */
  env?: NodeJS.ProcessEnv | undefined
  /** The `argv[0]` of the command. Default: the command. */
  argv0?: string | undefined
  /**
   * `true` runs the command in `/bin/sh` (on Windows in `process.env.ComSpec`), a path in that shell. Default
   * `false`. Pass no unchecked input.
   */
  shell?: boolean | string | undefined
  /**
   * The standard streams. Default `'pipe'`. Any other value than `'pipe'`, `'ignore'` and `'inherit'`,
   * and any descriptor above 2, needs a direct launch: the worker starts the command itself, because
   * the keeper cannot receive such a stream.
   */
  stdio?: S | undefined
  /** Numeric user id of the command. Default: the worker's. Windows has none (ENOTSUP). */
  uid?: number | undefined
  /** Numeric group id of the command. Default: the worker's. Windows has none (ENOTSUP). */
  gid?: number | undefined
  /** Ends the command and its process tree, as `terminate()` does, after so many ms. Default: never. */
  timeout?: number | undefined
  /** Ends the command as `timeout` does when it is aborted, and emits `'error'` with an `AbortError`. */
  signal?: AbortSignal | undefined
  /** The first signal that `timeout`, `signal` and `terminate()` send. Default `'SIGTERM'`. */
  killSignal?: NodeJS.Signals | number | undefined
  /**
   * Which processes get the first signal at once when the command or its scope is ended: its
   * process tree (`'tree'`), or the command's own process only (`'command'`). See
   * `RouteGuardOptions`. Default: the scope's.
   */
  firstSignalTo?: FirstSignalTo | undefined
  /** Serialization of the messages on the channel of `'ipc'`. Default `'json'`. */
  serialization?: 'json' | 'advanced' | undefined
  /** `true` is refused. To let a command outlive its scope, pass it to `release()`. */
  detached?: boolean | undefined
  /** On Windows, hides the window of the command. Without effect elsewhere. */
  windowsHide?: boolean | undefined
  /** On Windows, passes the arguments on as they are. Without effect elsewhere. */
  windowsVerbatimArguments?: boolean | undefined
}

/** The names of all options of `spawn`. */
export const spawnOptionNames = [
  'cwd',
  'env',
  'argv0',
  'shell',
  'stdio',
  'uid',
  'gid',
  'timeout',
  'signal',
  'killSignal',
  'firstSignalTo',
  'serialization',
  'detached',
  'windowsHide',
  'windowsVerbatimArguments',
  'privateTmp'
]

/** Options of `fork`, as of `child_process.fork`. */
export interface ForkOptions extends NodeForkOptions, PrivateTmpOption, Pick<SpawnOptions, 'firstSignalTo'> {}

/** The names of all options of `fork`. */
export const forkOptionNames = [...spawnOptionNames, 'execPath', 'execArgv', 'silent']

/** Throws a TypeError for `detached: true`: every command ends with its scope. */
export function refuseDetached({ detached }: SpawnOptions | ForkOptions): void {
  if (isLeftOut(detached) || detached === false) return
  const wayOut = 'leave it out; to let a command outlive its scope, pass it to release()'
  throw new SubprocessOptionError('options.detached', detached, wayOut)
}
