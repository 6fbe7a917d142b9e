/** What a user asks to be started: checked and brought to one shape, as `child_process.spawn` does. */

import { fileURLToPath } from 'node:url'
import { SubprocessOptionError } from './errors.js'
import type { LaunchRequest, StdioTarget } from './keeper/protocol.js'
import { currentRights, type Rights } from './platform/rights.js'

/** Where a standard stream leads: a stream of the handle, nowhere, or where the worker's own leads. */
export type Stdio = 'pipe' | 'ignore' | 'inherit'

/** Options of `spawn`, as of `child_process.spawn`. */
export interface SpawnOptions {
  /** Folder that the command starts in. Default: the worker's current one. */
  cwd?: string | URL | undefined
  /** The command's environment. Default: the worker's. */
  env?: NodeJS.ProcessEnv | undefined
  /** What the command is told to be its own name. Default: the command. */
  argv0?: string | undefined
  /** `true` runs the command in `/bin/sh`, a path in that shell. Never put unchecked input into it. Default `false`. */
  shell?: boolean | string | undefined
  /** The three standard streams. Default `'pipe'`. */
  stdio?: Stdio | readonly (Stdio | null | undefined)[] | undefined
  /** User that the command runs as. Default: the worker's. */
  uid?: number | undefined
  /** Group that the command runs as. Default: the worker's. */
  gid?: number | undefined
  /** Accepted, and without effect but on Windows. */
  windowsHide?: boolean | undefined
}

const optionNames = ['cwd', 'env', 'argv0', 'shell', 'stdio', 'uid', 'gid', 'windowsHide']

/** A command in the one shape that the keeper takes. */
export interface Command {
  readonly file: string
  /** With the name of the command as the first. */
  readonly args: readonly string[]
  readonly stdio: readonly [Stdio, Stdio, Stdio]
  /** The request for a keeper, with the targets of the three streams. */
  request(stdio: readonly [StdioTarget, StdioTarget, StdioTarget]): LaunchRequest
}

/**
 * Throws a TypeError for what `child_process.spawn` throws one for, and for what is not supported.
 * `parentRights` are those of the process that will start the command.
 */
export function resolveCommand(
  parentRights: Rights,
  file: string,
  args: readonly string[] | null = [],
  options: SpawnOptions = {}
): Command {
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined || optionNames.includes(name)) continue
    throw new SubprocessOptionError(`options.${name}`, value, `spawn takes ${optionNames.join(', ')}`)
  }
  text('command', file, 'give the name or the path of a program')
  if (file === '') throw new SubprocessOptionError('command', file, 'give the name or the path of a program')
  if (args !== null && !Array.isArray(args))
    throw new SubprocessOptionError('args', args, 'give an array of strings')
  const given = (args ?? []).map((arg, index) =>
    text(`args[${index}]`, String(arg), 'arguments hold no zero byte')
  )
  const cwd = folder(options.cwd)
  const { uid, gid } = identity(options, parentRights)
  const argv0 =
    options.argv0 === undefined ? undefined : text('options.argv0', options.argv0, 'give a string')
  const shell = shellOf(options.shell)
  const program = shell ?? file
  const programArgs = shell === undefined ? given : ['-c', [file, ...given].join(' ')]
  const finalArgs = [argv0 ?? program, ...programArgs]
  const env = environment(options.env ?? process.env)
  return {
    file: program,
    args: finalArgs,
    stdio: stdioOf(options.stdio),
    request: (stdio) => ({
      file: program,
      args: finalArgs,
      cwd,
      env,
      stdio,
      ...(uid === undefined ? {} : { uid }),
      ...(gid === undefined ? {} : { gid })
    })
  }
}

function text(name: string, value: unknown, wayOut: string): string {
  if (typeof value === 'string' && !value.includes('\0')) return value
  throw new SubprocessOptionError(name, value, wayOut)
}

function folder(cwd: string | URL | undefined): string {
  if (cwd === undefined) return process.cwd()
  return text('options.cwd', cwd instanceof URL ? fileURLToPath(cwd) : cwd, 'give a path or a file: URL')
}

function shellOf(shell: unknown): string | undefined {
  if (shell === undefined || shell === false || shell === '') return undefined
  if (shell === true) return '/bin/sh'
  return text('options.shell', shell, 'give true, false or the path of a shell')
}

function environment(env: NodeJS.ProcessEnv): Record<string, string> {
  const result: Record<string, string> = {}
  for (const [name, value] of Object.entries(env)) {
    if (value !== undefined)
      result[name] = text(`options.env.${name}`, String(value), 'values hold no zero byte')
  }
  return result
}

/** The user and group to run as. A worker that gave up its rights after the start gives them up here too. */
function identity(options: SpawnOptions, parent: Rights): Rights {
  const { uid, gid } = currentRights()
  return {
    uid: idOf('options.uid', options.uid) ?? (uid === parent.uid ? undefined : uid),
    gid: idOf('options.gid', options.gid) ?? (gid === parent.gid ? undefined : gid)
  }
}

function idOf(name: string, value: unknown): number | undefined {
  if (value === undefined) return undefined
  if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= 2_147_483_647)
    return value
  throw new SubprocessOptionError(name, value, 'give the number of a user or a group')
}

function stdioOf(stdio: unknown): [Stdio, Stdio, Stdio] {
  if (stdio === undefined || typeof stdio === 'string') {
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
  if (stdio.length > 3) {
    throw new SubprocessOptionError('options.stdio', stdio, 'only the descriptors 0 to 2 can be given')
  }
  return [0, 1, 2].map((index) => stdioTarget(`options.stdio[${index}]`, stdio[index])) as [
    Stdio,
    Stdio,
    Stdio
  ]
}

function stdioTarget(name: string, value: unknown): Stdio {
  if (value === undefined || value === null) return 'pipe'
  if (value === 'pipe' || value === 'ignore' || value === 'inherit') return value
  throw new SubprocessOptionError(name, value, "give 'pipe', 'ignore' or 'inherit'")
}
