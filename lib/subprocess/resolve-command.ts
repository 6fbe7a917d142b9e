/** Resolves the command of a call: validates it as `child_process.spawn` does, and applies defaults. */

import { statSync } from 'node:fs'
import { isAbsolute, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { LaunchOrder } from '../link/launch-queue.js'
import { platform } from '../platform/current.js'
import { abortSignal, firstSignalToOf, milliseconds } from '../validate-option.js'
import type { StdioTarget } from '../wire/messages.js'
import { resolveEnvironment, workerEnvironment } from './resolve-environment.js'
import { resolveProgram } from './resolve-program.js'
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
  const program = resolveProgram(file, args, options)
  const cwd = resolveCwd(options.cwd)
  const [uid, gid] = [userOrGroupId('options.uid', options.uid), userOrGroupId('options.gid', options.gid)]
  const windowsHide = trueIfSet('options.windowsHide', options.windowsHide)
  const isVerbatim = trueIfSet('options.windowsVerbatimArguments', options.windowsVerbatimArguments)
  const firstSignalTo = isLeftOut(options.firstSignalTo)
    ? undefined
    : firstSignalToOf('options.firstSignalTo', options.firstSignalTo)
  const env = isLeftOut(options.env) ? workerEnvironment() : resolveEnvironment(options.env)
  return {
    file: program.file,
    program: program.file,
    args: program.args,
    stdio: resolveStdio(options.stdio),
    timeoutMs: isLeftOut(options.timeout) ? 0 : milliseconds('options.timeout', options.timeout),
    signal: abortSignal('options.signal', options.signal),
    killSignal: isLeftOut(options.killSignal)
      ? 'SIGTERM'
      : signalName('options.killSignal', options.killSignal),
    order: (stdio) => ({
      file: program.file,
      args: program.args,
      cwd,
      env,
      stdio,
      ...(uid === undefined ? {} : { uid }),
      ...(gid === undefined ? {} : { gid }),
      ...(firstSignalTo === undefined ? {} : { firstSignalTo }),
      ...(windowsHide ? { windowsHide } : {}),
      ...((program.isVerbatim ?? isVerbatim) ? { windowsVerbatimArguments: true } : {})
    })
  }
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

function trueIfSet(name: string, value: boolean | null | undefined): boolean {
  checkBoolean(name, value)
  return value === true
}
