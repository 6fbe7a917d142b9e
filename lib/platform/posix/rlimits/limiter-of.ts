/**
 * Starts a program with resource limits: another program sets them and then becomes the program. So a command has its limits
 * before its first instruction, and neither a keeper nor a worker ever lowers its own.
 */

import { basename } from 'node:path'
import type { RlimitName } from '../../../rlimit-options.js'
import type { LaunchLimits, Limiter, ProgramCall } from '../../platform.js'
import { candidatePaths, firstExecutable } from '../../program-paths.js'
import { limitError } from './limit-error.js'
import { namesNoInterpreter } from './names-no-interpreter.js'
import { ulimitLine } from './ulimit-line.js'

const shell = '/bin/sh'

/** `hardLimit` tells that of this process, which no command may exceed, and `defaultPath` the PATH without a PATH. */
export function limiterOf(
  call: ProgramCall,
  { rlimits, noNewPrivileges }: LaunchLimits,
  hardLimit: (name: RlimitName) => number,
  defaultPath: string,
  privilegeDenier?: () => string[] | undefined
): Limiter {
  const { file, argv0 } = call
  const values = Object.entries(rlimits) as [RlimitName, number][]
  for (const [name, value] of values) {
    if (value <= hardLimit(name)) continue
    const why = `limits.rlimits.${name} is ${value}, above the hard limit of the server, ${hardLimit(name)}`
    throw limitError(file, 'EPERM', why)
  }
  // First of all, since what sets the limits reports a missing program on standard error only.
  const path = pathOf(call, defaultPath)
  // A program that is named by its path knows its name all the same.
  const hasOwnName = argv0 === file || argv0 === basename(file)
  const run = hasOwnName ? [file] : withName(call, path, defaultPath)
  const limited = values.length === 0 ? run : withLimits(call, path, run, values, defaultPath)
  const [first, ...before] = noNewPrivileges ? withoutPrivileges(file, limited, privilegeDenier?.()) : limited
  return { file: first as string, before }
}

/** The command line with what sets the limits before it. */
function withLimits(
  { file, cwd }: ProgramCall,
  path: string,
  run: readonly string[],
  values: [RlimitName, number][],
  defaultPath: string
): string[] {
  const prlimit = tool('prlimit', defaultPath)
  if (prlimit === undefined) return [shell, '-c', ulimitLine(file, shell, values), ...run]
  // The kernel is asked first: it may know another kind of program (binfmt_misc).
  const started = namesNoInterpreter(path, cwd) ? [shell, '-c', 'exec "$0" "$@"', ...run] : run
  return [prlimit, ...values.map(([name, value]) => `--${name}=${value}:${value}`), '--', ...started]
}

function withoutPrivileges(
  file: string,
  run: readonly string[],
  denier: readonly string[] | undefined
): string[] {
  if (denier !== undefined) return [...denier, ...run]
  const why = 'with policy.noNewPrivileges, a direct launch needs setpriv(1), which was not found'
  throw limitError(file, 'ENOTSUP', why)
}

function pathOf({ file, cwd, env }: ProgramCall, defaultPath: string): string {
  const paths = file.includes('/') ? [file] : candidatePaths(file, env.PATH ?? defaultPath)
  const found = firstExecutable(paths, cwd)
  if ('code' in found) throw limitError(file, found.code)
  return found.path
}

/** Only some shells can give a program another name (`argv[0]`) than that of its file. */
function withName({ file, argv0 }: ProgramCall, path: string, defaultPath: string): string[] {
  const bash = tool('bash', defaultPath)
  if (bash === undefined) {
    throw limitError(file, 'ENOTSUP', 'with limits.rlimits, the option argv0 needs bash, which was not found')
  }
  return [bash, '-p', '-c', 'exec -a "$0" -- "$@"', argv0, path]
}

/** The path of a program in the PATH of this process. */
function tool(name: string, defaultPath: string): string | undefined {
  const found = firstExecutable(candidatePaths(name, process.env.PATH ?? defaultPath), '/')
  return 'path' in found ? found.path : undefined
}
