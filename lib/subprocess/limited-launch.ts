/**
 * Direct launch with resource limits, or without a way to more rights. The worker cannot lower its own for a moment, since other threads use them. So it starts
 * the program that sets the limits and becomes the command.
 */

import { type ChildProcess, fork, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { type LaunchLimits, type Limiter, platform } from '../platform/current.js'
import { resolveCwd } from './resolve-command.js'
import { resolveProgram } from './resolve-program.js'
import type { ForkOptions, SpawnOptions } from './spawn-options.js'

/** The options of a launch that matter here. `env` is the whole environment of the command. */
interface LaunchOptions {
  readonly env: Record<string, string>
  readonly cwd?: SpawnOptions['cwd']
}

/** `child_process.spawn` with limits. Throws a system error if one cannot be set. */
export function spawnWithLimits(
  command: string,
  args: readonly string[],
  options: LaunchOptions & Pick<SpawnOptions, 'argv0' | 'shell'>,
  limits: LaunchLimits
): ChildProcess {
  const program = resolveProgram(command, args, options)
  const [argv0 = program.file, ...rest] = program.args
  const limiter = limiterOf(program.file, argv0, options, limits)
  const nodeOptions = { ...options, argv0: undefined, shell: false } as object
  const child = spawn(limiter.file, [...limiter.before, ...rest], nodeOptions)
  return showAs(child, program.file, argv0, limiter)
}

/** `child_process.fork` with limits. Throws a system error if one cannot be set. */
export function forkWithLimits(
  modulePath: string | URL,
  args: readonly string[],
  options: LaunchOptions & Pick<ForkOptions, 'execPath' | 'execArgv'>,
  limits: LaunchLimits
): ChildProcess {
  const { execPath = process.execPath, execArgv = withoutEval(process.execArgv) } = options
  const limiter = limiterOf(execPath, execPath, options, limits)
  const nodeOptions = { ...options, execPath: limiter.file, execArgv: [...limiter.before, ...execArgv] }
  return showAs(fork(modulePath, args, nodeOptions), execPath, execPath, limiter)
}

function limiterOf(file: string, argv0: string, { env, cwd }: LaunchOptions, limits: LaunchLimits): Limiter {
  try {
    return platform.limiterOf?.({ file, argv0, env, cwd: resolveCwd(cwd) }, limits) as Limiter
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    // Node emits these as 'error'. It does so by itself for a path that cannot be run: one that nobody can know, or a folder.
    if (code === 'ENOENT') return { file: `/${randomUUID()}`, before: [] }
    if (code === 'EACCES') return { file: '/', before: [] }
    throw error
  }
}

/** The handle, and the error of a failed start, name what the user has asked for. */
function showAs(child: ChildProcess, spawnfile: string, argv0: string, { before }: Limiter): ChildProcess {
  const spawnargs = [argv0, ...child.spawnargs.slice(1 + before.length)]
  return Object.assign(child, { spawnfile, spawnargs })
}

/** As Node does it: a program that was given on the command line is not that of the child. */
function withoutEval(execArgv: readonly string[]): string[] {
  const index = execArgv.findIndex((arg) => /^(-e|--eval|-p|-pe|--print)$/.test(arg))
  return index === -1 ? [...execArgv] : execArgv.toSpliced(index, 2)
}
