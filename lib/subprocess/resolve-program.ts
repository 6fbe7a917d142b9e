/** The program that a call of `spawn` runs, with its arguments: the command itself, or a shell for it. */

import { SubprocessOptionError } from '../errors.js'
import { platform, type ShellCommand } from '../platform/current.js'
import type { SpawnOptions } from './spawn-options.js'
import { checkedString, isLeftOut } from './validate-arguments.js'

export interface Program {
  /** A path, or a name to be searched in the PATH of the command. */
  readonly file: string
  /** All arguments, `argv[0]` included. */
  readonly args: readonly string[]
  /** On Windows: whether the arguments are passed on as they are. Undefined without a shell. */
  readonly isVerbatim: boolean | undefined
}

/** Throws a TypeError for whatever `child_process.spawn` throws one for. */
export function resolveProgram(
  file: string,
  args: readonly string[] | null = [],
  options: Pick<SpawnOptions, 'argv0' | 'shell'> = {}
): Program {
  checkedCommand(file)
  if (args !== null && !Array.isArray(args))
    throw new SubprocessOptionError('args', args, 'give an array of strings')
  const given = (args ?? []).map((arg, index) =>
    checkedString(`args[${index}]`, String(arg), 'arguments must not contain null bytes')
  )
  const argv0 = isLeftOut(options.argv0)
    ? undefined
    : checkedString('options.argv0', options.argv0, 'give a string')
  const shell = resolveShell(options.shell, [file, ...given].join(' '))
  if (shell !== undefined && given.length > 0) warnOfArgumentsWithShell()
  const program = shell?.file ?? file
  return {
    file: program,
    args: [argv0 ?? program, ...(shell?.args ?? given)],
    isVerbatim: shell?.isVerbatim
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

/** Throws a TypeError if the command is no string, or an empty one. */
export function checkedCommand(file: unknown): void {
  const wayOut = 'give the name or path of a program'
  if (checkedString('command', file, wayOut) === '') throw new SubprocessOptionError('command', file, wayOut)
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
