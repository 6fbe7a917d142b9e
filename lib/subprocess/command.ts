/** What a user asks to be started: checked and brought to one shape, as `child_process.spawn` does. */

import type { ForkOptions as NodeForkOptions } from 'node:child_process'
import { statSync } from 'node:fs'
import { constants } from 'node:os'
import { isAbsolute } from 'node:path'
import type { Stream } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { SubprocessOptionError } from '../errors.js'
import type { LaunchOrder } from '../link/launch-queue.js'
import type { FirstSignalTo } from '../options.js'
import { cwdPathOf } from '../platform/current.js'
import { abortSignal, firstSignalToOf, milliseconds } from '../validate-option.js'
import type { StdioTarget } from '../wire/messages.js'

/** Where a standard stream that the keeper sets up leads: a stream of the handle, nowhere, or where the worker's own leads. */
export type Stdio = 'pipe' | 'ignore' | 'inherit'

/** Where one descriptor of a command leads, as in `child_process`. */
export type StdioEntry = Stdio | 'overlapped' | 'ipc' | Stream | number | null | undefined

/** `options.stdio`: one for all three standard streams, or one for each descriptor. */
export type StdioOption = Stdio | 'overlapped' | readonly StdioEntry[]

/** What the ways to start a command have beyond `child_process`. */
export interface PrivateTmpOption {
  /**
   * Whether the command gets a folder for temporary files that is removed with the scope. Its path is in `TMPDIR`, `TMP` and
   * `TEMP`, but for those that `env` sets to another value than the worker's. Default: as the route or the guard has it.
   */
  privateTmp?: boolean | undefined
}

/** Options of `spawn`, as of `child_process.spawn`. */
export interface SpawnOptions<S extends StdioOption | undefined = StdioOption | undefined>
  extends PrivateTmpOption {
  /** Folder that the command starts in. Default: the worker's current one. */
  cwd?: string | URL | undefined
  /** The command's environment. Default: the worker's. */
  env?: NodeJS.ProcessEnv | undefined
  /** What the command is told to be its own name. Default: the command. */
  argv0?: string | undefined
  /** `true` runs the command in `/bin/sh`, a path in that shell. Never put unchecked input into it. Default `false`. */
  shell?: boolean | string | undefined
  /**
   * The standard streams. Default `'pipe'`. With anything but `'pipe'`, `'ignore'` and `'inherit'` for the
   * descriptors 0 to 2 the worker starts the command itself, since that cannot cross a socket.
   */
  stdio?: S | undefined
  /** User that the command runs as. Default: the worker's. */
  uid?: number | undefined
  /** Group that the command runs as. Default: the worker's. */
  gid?: number | undefined
  /** Ends the command with all that it has started, as `terminate()` does, after so many ms. Default: never. */
  timeout?: number | undefined
  /** Ends the command as `timeout` does when it is aborted; `'error'` tells of it with an `AbortError`. */
  signal?: AbortSignal | undefined
  /** What `timeout`, `signal` and `terminate()` send first. Default `'SIGTERM'`. */
  killSignal?: NodeJS.Signals | number | undefined
  /**
   * Who gets the first signal at once when the command, or its scope, is ended: its whole tree, or its own process alone; see
   * `RouteGuardOptions`. Default: that of the scope.
   */
  firstSignalTo?: FirstSignalTo | undefined
  /** How messages cross the channel of `'ipc'`. Default `'json'`. */
  serialization?: 'json' | 'advanced' | undefined
  /** `true` is refused: a command that is to outlive its scope is given to `release()`. */
  detached?: boolean | undefined
  /** Accepted, and without effect but on Windows. */
  windowsHide?: boolean | undefined
  /** Accepted, and without effect but on Windows. */
  windowsVerbatimArguments?: boolean | undefined
}

export const optionNames = [
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

/** What `fork` has beyond `spawn`. */
export const forkOptionNames = ['execPath', 'execArgv', 'silent']

/** A command in the one shape that the keeper takes. */
export interface Command {
  readonly file: string
  /** With the name of the command as the first. */
  readonly args: readonly string[]
  readonly stdio: readonly [Stdio, Stdio, Stdio]
  /** 0 for none. */
  readonly timeoutMs: number
  readonly signal: AbortSignal | undefined
  readonly killSignal: NodeJS.Signals
  /** The order for a keeper, with the targets of the three streams. */
  order(stdio: readonly [StdioTarget, StdioTarget, StdioTarget]): LaunchOrder
}

/** Throws a TypeError for an option that a scope cannot have. */
export function refuseDetached({ detached }: SpawnOptions | ForkOptions): void {
  if (isLeftOut(detached) || detached === false) return
  const wayOut =
    'leave it out, and give what spawn() returns to release() of the scope to let it outlive that'
  throw new SubprocessOptionError('options.detached', detached, wayOut)
}

/** Whether the worker has to start such a command itself, since its streams cannot cross a socket. */
export function needsDirectLaunch({ stdio, serialization }: SpawnOptions): boolean {
  // Node refuses null.
  if (serialization !== undefined) return true
  if (!Array.isArray(stdio)) return false
  const crosses = ['pipe', 'overlapped', 'ignore', 'inherit', undefined, null]
  return stdio.length > 3 || stdio.some((entry) => !crosses.includes(entry))
}

/** Throws a TypeError for what `child_process.spawn` throws one for, and for what is not supported. */
export function resolveCommand(
  file: string,
  args: readonly string[] | null = [],
  options: SpawnOptions = {}
): Command {
  refuseDetached(options)
  text('command', file, 'give the name or the path of a program')
  if (file === '') throw new SubprocessOptionError('command', file, 'give the name or the path of a program')
  if (args !== null && !Array.isArray(args))
    throw new SubprocessOptionError('args', args, 'give an array of strings')
  const given = (args ?? []).map((arg, index) =>
    text(`args[${index}]`, String(arg), 'arguments hold no zero byte')
  )
  const cwd = folder(options.cwd)
  const [uid, gid] = [idOf('options.uid', options.uid), idOf('options.gid', options.gid)]
  const argv0 = isLeftOut(options.argv0) ? undefined : text('options.argv0', options.argv0, 'give a string')
  for (const name of ['windowsHide', 'windowsVerbatimArguments'] as const) flag(name, options[name])
  const shell = shellOf(options.shell)
  const program = shell ?? file
  if (shell !== undefined && given.length > 0) warnOfJoinedArguments()
  const programArgs = shell === undefined ? given : ['-c', [file, ...given].join(' ')]
  const finalArgs = [argv0 ?? program, ...programArgs]
  const firstSignalTo = isLeftOut(options.firstSignalTo)
    ? undefined
    : firstSignalToOf('options.firstSignalTo', options.firstSignalTo)
  const env = isLeftOut(options.env) ? ownEnvironment() : environment(options.env)
  return {
    file: program,
    args: finalArgs,
    stdio: stdioOf(options.stdio),
    timeoutMs: isLeftOut(options.timeout) ? 0 : milliseconds('options.timeout', options.timeout),
    signal: abortSignal('options.signal', options.signal),
    killSignal: isLeftOut(options.killSignal)
      ? 'SIGTERM'
      : signalName('options.killSignal', options.killSignal),
    order: (stdio) => ({
      file: program,
      args: finalArgs,
      cwd,
      env,
      stdio,
      ...(uid === undefined ? {} : { uid }),
      ...(gid === undefined ? {} : { gid }),
      ...(firstSignalTo === undefined ? {} : { firstSignalTo })
    })
  }
}

/** Node takes null for an option that is left out. */
export function isLeftOut(value: unknown): value is undefined | null {
  return value === undefined || value === null
}

function flag(name: string, value: unknown): void {
  if (isLeftOut(value) || typeof value === 'boolean') return
  throw new SubprocessOptionError(`options.${name}`, value, 'give true or false')
}

function text(name: string, value: unknown, wayOut: string): string {
  if (typeof value === 'string' && !value.includes('\0')) return value
  throw new SubprocessOptionError(name, value, wayOut)
}

function folder(cwd: string | URL | undefined): string {
  if (isLeftOut(cwd)) return ownFolder()
  const path = text(
    'options.cwd',
    cwd instanceof URL ? fileURLToPath(cwd) : cwd,
    'give a path or a file: URL'
  )
  // The keeper has another folder. As it stands: to take `..` away would lead elsewhere behind a symbolic link.
  return isAbsolute(path) ? path : `${ownFolder()}/${path}`
}

/**
 * The worker's current directory. If it was removed or renamed it has no path: a path by way of the worker leads there all
 * the same, from the worker as from the keeper.
 */
function ownFolder(): string {
  const here = cwdPathOf(process.pid)
  try {
    const path = process.cwd()
    const [named, own] = [statSync(path), statSync(here)]
    return named.ino === own.ino && named.dev === own.dev ? path : here
  } catch {
    return here
  }
}

function shellOf(shell: unknown): string | undefined {
  if (isLeftOut(shell) || shell === false || shell === '') return undefined
  if (shell === true) return '/bin/sh'
  return text('options.shell', shell, 'give true, false or the path of a shell')
}

let hasWarned = false

/** As Node does since version 24: https://nodejs.org/api/deprecations.html#DEP0190. */
function warnOfJoinedArguments(): void {
  if (hasWarned || Number.parseInt(process.versions.node, 10) < 24) return
  hasWarned = true
  const message =
    'Passing args to a child process with shell option true can lead to security vulnerabilities, as the arguments are not ' +
    'escaped, only concatenated.'
  process.emitWarning(message, 'DeprecationWarning', 'DEP0190')
}

// Of the system, so that its values are strings without a zero byte.
const systemEnvironment = process.env

/** The worker's own environment as it is now. As JSON it takes less than a copy, and is compared at once with the last one. */
function ownEnvironment(): Record<string, string> | string {
  return process.env === systemEnvironment ? JSON.stringify(process.env) : environment(process.env)
}

/** Every variable with a value. What the object inherits counts, as it does for Node. */
export function environment(env: NodeJS.ProcessEnv | null | undefined): Record<string, string> {
  const given = env ?? process.env
  const result: Record<string, string> = {}
  for (const name in given) {
    const value = given[name]
    if (value === undefined) continue
    text('a name in options.env', name, 'names hold no zero byte')
    result[name] = text(`options.env.${name}`, String(value), 'values hold no zero byte')
  }
  return result
}

function idOf(name: string, value: unknown): number | undefined {
  if (isLeftOut(value)) return undefined
  if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= 2_147_483_647)
    return value
  throw new SubprocessOptionError(name, value, 'give the number of a user or a group')
}

/** The name of a signal. Throws a TypeError where there is none of that name or number. */
export function signalName(option: string, signal: unknown): NodeJS.Signals {
  const given = typeof signal === 'string' ? signal.toUpperCase() : signal
  for (const [name, number] of Object.entries(constants.signals)) {
    if (name === given || number === given) return name as NodeJS.Signals
  }
  throw new SubprocessOptionError(option, signal, "give a signal's name or number, such as 'SIGTERM'")
}

function stdioOf(stdio: unknown): [Stdio, Stdio, Stdio] {
  if (isLeftOut(stdio) || typeof stdio === 'string') {
    const target = stdioTarget('options.stdio', stdio)
    return [target, target, target]
  }
  if (!Array.isArray(stdio)) {
    throw new SubprocessOptionError(
      'options.stdio',
      stdio,
      "give 'pipe', 'ignore', 'inherit', or an array of these"
    )
  }
  return [0, 1, 2].map((index) => stdioTarget(`options.stdio[${index}]`, stdio[index])) as [
    Stdio,
    Stdio,
    Stdio
  ]
}

function stdioTarget(name: string, value: unknown): Stdio {
  if (isLeftOut(value) || value === 'overlapped') return 'pipe'
  if (value === 'pipe' || value === 'ignore' || value === 'inherit') return value
  throw new SubprocessOptionError(name, value, "give 'pipe', 'ignore' or 'inherit'")
}
