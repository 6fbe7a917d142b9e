/** Resolves the command of a call: validates it as `child_process.spawn` does, and applies defaults. */

import { statSync } from 'node:fs'
import { isAbsolute, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { SubprocessOptionError } from '../errors.js'
import type { LaunchOrder } from '../link/launch-queue.js'
import { platform, type ShellCommand } from '../platform/current.js'
import { abortSignal, firstSignalToOf, milliseconds } from '../validate-option.js'
import type { StdioTarget } from '../wire/messages.js'
import { resolveEnvironment, workerEnvironment } from './resolve-environment.js'
import { resolveStdio } from './resolve-stdio.js'
import { refuseDetached, type SpawnOptions, type Stdio } from './spawn-options.js'
import { checkBoolean, checkedString, isLeftOut, signalName, userOrGroupId } from './validate-arguments.js'

/** A validated command, with all defaults applied. */
export interface Command {
  /** The program as the user sees it: a path, or a name to be searched in the PATH of `env`. */
  readonly file: string
  /** The program as the keeper gets it: `file`, or the path that a policy has checked. */
  readonly program: string
  /** All arguments, `argv[0]` included. */
  readonly args: readonly string[]
  readonly stdio: readonly [Stdio, Stdio, Stdio]
  /** In ms; 0 for no timeout. */
  readonly timeoutMs: number
  readonly signal: AbortSignal | undefined
  readonly killSignal: NodeJS.Signals
  /** The order for the keeper. `stdio` holds the targets of the three standard streams. */
  order(stdio: readonly [StdioTarget, StdioTarget, StdioTarget]): LaunchOrder
}

/** Throws a TypeError for whatever `child_process.spawn` throws one for, and for what is not supported. */
export function resolveCommand(
  file: string,
  args: readonly string[] | null = [],
  options: SpawnOptions = {}
): Command {
  refuseDetached(options)
  checkedCommand(file)
  if (args !== null && !Array.isArray(args))
    throw new SubprocessOptionError('args', args, 'give an array of strings')
  const given = (args ?? []).map((arg, index) =>
    checkedString(`args[${index}]`, String(arg), 'arguments must not contain null bytes')
  )
  const cwd = resolveCwd(options.cwd)
  const [uid, gid] = [userOrGroupId('options.uid', options.uid), userOrGroupId('options.gid', options.gid)]
  const argv0 = isLeftOut(options.argv0)
    ? undefined
    : checkedString('options.argv0', options.argv0, 'give a string')
  const windowsHide = trueIfSet('options.windowsHide', options.windowsHide)
  const isVerbatim = trueIfSet('options.windowsVerbatimArguments', options.windowsVerbatimArguments)
  const shell = resolveShell(options.shell, [file, ...given].join(' '))
  if (shell !== undefined && given.length > 0) warnOfArgumentsWithShell()
  const program = shell?.file ?? file
  const finalArgs = [argv0 ?? program, ...(shell?.args ?? given)]
  const firstSignalTo = isLeftOut(options.firstSignalTo)
    ? undefined
    : firstSignalToOf('options.firstSignalTo', options.firstSignalTo)
  const env = isLeftOut(options.env) ? workerEnvironment() : resolveEnvironment(options.env)
  return {
    file: program,
    program,
    args: finalArgs,
    stdio: resolveStdio(options.stdio),
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
      ...(firstSignalTo === undefined ? {} : { firstSignalTo }),
      ...(windowsHide ? { windowsHide } : {}),
      ...((shell?.isVerbatim ?? isVerbatim) ? { windowsVerbatimArguments: true } : {})
    })
  }
}

/** Throws a TypeError if the command is no string, or an empty one. */
export function checkedCommand(file: unknown): void {
  const wayOut = 'give the name or path of a program'
  if (checkedString('command', file, wayOut) === '') throw new SubprocessOptionError('command', file, wayOut)
}

/** The working directory of a command, as an absolute path. */
export function resolveCwd(cwd: string | URL | undefined): string {
  if (isLeftOut(cwd)) return workerCwd()
  const path = checkedString(
    'options.cwd',
    cwd instanceof URL ? fileURLToPath(cwd) : cwd,
    'give a path or a file: URL'
  )
  // The keeper has another working directory. Not normalized: `..` leads elsewhere behind a symbolic link.
  return isAbsolute(path) ? path : `${workerCwd()}${sep}${path}`
}

/**
 * A path to the worker's working directory. If the directory was removed or renamed, its old path leads
 * nowhere or to another directory. A child of the worker still inherits the directory; a child of the keeper
 * reaches it through the worker's process.
 */
function workerCwd(): string {
  const here = platform.cwdPathOf(process.pid)
  try {
    const path = process.cwd()
    const [named, own] = [statSync(path), statSync(here)]
    return named.ino === own.ino && named.dev === own.dev ? path : here
  } catch {
    return here
  }
}

/** The shell that runs the line; undefined if the option `shell` asks for none. */
export function resolveShell(shell: unknown, line: string): ShellCommand | undefined {
  if (isLeftOut(shell) || shell === false || shell === '') return undefined
  if (shell === true) return platform.shellCommand(line)
  return platform.shellCommand(
    line,
    checkedString('options.shell', shell, 'give true, false or the path of a shell')
  )
}

function trueIfSet(name: string, value: boolean | null | undefined): boolean {
  checkBoolean(name, value)
  return value === true
}

let hasWarned = false

/** The same warning as Node's since version 24: https://nodejs.org/api/deprecations.html#DEP0190. */
function warnOfArgumentsWithShell(): void {
  if (hasWarned || Number.parseInt(process.versions.node, 10) < 24) return
  hasWarned = true
  const message =
    'Passing args to a child process with shell option true can lead to security vulnerabilities, ' +
    'as the arguments are not escaped, only concatenated.'
  process.emitWarning(message, 'DeprecationWarning', 'DEP0190')
}
