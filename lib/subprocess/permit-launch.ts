/**
 * Applies the policy of a scope to one launch: throws `ERR_SUBPROCESS_FORBIDDEN`, or returns the launch with the
 * path of the program that was checked.
 */

import type { ResolvedPolicy } from '../policy-options.js'
import { ownOf } from '../validate-option.js'
import { forbidden } from './forbidden.js'
import { pathOf, permittedEnvironment } from './permitted-environment.js'
import { permittedProgram, type Starter } from './permitted-program.js'
import { resolveCwd } from './resolve-command.js'
import { checkedCommand, resolveShell } from './resolve-program.js'
import type { ForkOptions, SpawnOptions } from './spawn-options.js'
import { checkedString, isLeftOut } from './validate-arguments.js'

/** A launch that the policy allows, with the variables that it allows. */
export interface PermittedLaunch {
  /** The path of the program, or the line for a shell. */
  readonly command: string
  readonly options: SpawnOptions
  /** The program as it was given. The user sees this name. Undefined if it is unchanged. */
  readonly givenFile?: string
}

/** The same for `fork`. */
export interface PermittedFork {
  readonly options: ForkOptions
  readonly givenFile?: string
}

/** The options that `spawn` and `fork` have in common here. */
type LaunchOptions = Pick<SpawnOptions, 'cwd' | 'env' | 'argv0'>

export function permitLaunch(policy: ResolvedPolicy, command: string, given: SpawnOptions): PermittedLaunch {
  checkedCommand(command)
  const shell = resolveShell(given.shell, command)?.file
  if (shell !== undefined && !policy.shell) {
    const wayOut = 'start the program itself, by spawn() or execFile() without the option shell'
    throw forbidden(`the shell ${JSON.stringify(shell)}; policy.shell is false: ${wayOut}`)
  }
  const file = shell ?? command
  const { path, options } = permitProgram(policy, file, given, shell === undefined ? 'command' : 'shell')
  if (path === undefined) return { command, options }
  if (shell === undefined) return { command: path, options, givenFile: file }
  return { command, options: ownOf({ ...options, shell: path }), givenFile: file }
}

export function permitFork(policy: ResolvedPolicy, given: ForkOptions): PermittedFork {
  // As in Node.js, an empty one counts as left out.
  const file = checkedString(
    'options.execPath',
    given.execPath || process.execPath,
    'give the name or path of a program'
  )
  const { path, options } = permitProgram(policy, file, given, 'fork')
  return path === undefined
    ? { options }
    : { options: ownOf({ ...options, execPath: path }), givenFile: file }
}

/** `path` is undefined if the policy allows every program. */
function permitProgram<Options extends LaunchOptions | ForkOptions>(
  policy: ResolvedPolicy,
  file: string,
  given: Options,
  starter: Starter
): { path?: string; options: Options } {
  const { cwd, env, argv0 } = given as LaunchOptions
  const permittedEnv = policy.env === undefined ? env : permittedEnvironment(policy.env, env)
  // Without a prototype, as all options here: a polluted one sets none.
  const options = ownOf({ ...given, env: permittedEnv })
  if (policy.commands === undefined && policy.shell) return { options }
  if (policy.commands !== undefined && !isLeftOut(argv0) && argv0 !== file) {
    // A multi-call program such as busybox does what its argv[0] says.
    const names = `${JSON.stringify(argv0)} in place of ${JSON.stringify(file)}`
    throw forbidden(`argv0 ${names}; with policy.commands it may not differ from the command`)
  }
  const program = { file, cwd: resolveCwd(cwd), path: pathOf(permittedEnv ?? process.env) }
  const path = permittedProgram(policy, program, starter)
  // The command sees the name that was given.
  return { path, options: ownOf({ ...options, argv0: argv0 ?? file }) }
}
