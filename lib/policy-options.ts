/** The option `policy`: which commands may be started, whether by a shell, and with which variables. */

import { basename, isAbsolute } from 'node:path'
import { SubprocessOptionError } from './errors.js'
import { ownOf, refuseUnknown, trueOrFalse } from './validate-option.js'

/**
 * What the commands of a scope are limited to. What is left out is not limited. A call that the policy forbids
 * throws `ERR_SUBPROCESS_FORBIDDEN`, and nothing is started. Processes that are adopted or captured are not
 * covered: other code has started them.
 */
export interface Policy {
  /**
   * The programs that may be started: names, which are found in the PATH of the worker, and absolute paths. A
   * symbolic link to one of them is allowed, too; another link to the same file is not. `exec()` and the option
   * `shell` need the shell on this list, and `fork()` needs `execPath`: by default that of Node.js.
   */
  commands?: readonly string[]
  /**
   * `false` forbids `exec()`, the option `shell`, and to start a well-known shell by its name, unless
   * `commands` lists it. Default true.
   */
  shell?: boolean
  /**
   * The names of the variables that commands get. Others of the worker are left out. Others in `options.env`
   * are refused, unless they have the value of the worker's. The guard adds its own variables.
   */
  env?: readonly string[]
  /**
   * Whether no command can get rights that the server does not have (PR_SET_NO_NEW_PRIVS): `sudo` and other
   * set-user-ID programs run with the rights of the server, or fail. So no process can end up beyond the guard's
   * reach. For the whole server, on Linux. Default false.
   */
  noNewPrivileges?: boolean
}

/** A policy after validation. */
export interface ResolvedPolicy {
  /** Undefined if every command is allowed. */
  readonly commands: readonly string[] | undefined
  readonly shell: boolean
  /** Undefined if every variable is allowed. */
  readonly env: readonly string[] | undefined
}

const names = ['commands', 'shell', 'env', 'noNewPrivileges']

/**
 * Validates a policy. The keys that it leaves out are those of `base`. Undefined if it allows everything.
 * `option` is the user's name for it.
 * @throws {SubprocessOptionError} a TypeError.
 */
export function resolvePolicy(
  option: string,
  value: unknown,
  base: ResolvedPolicy | undefined
): ResolvedPolicy | undefined {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) {
    const wayOut = "set it to an object such as { commands: ['ffmpeg'], shell: false, env: ['PATH'] }"
    throw new SubprocessOptionError(option, value, wayOut)
  }
  refuseUnknown(value, names, `${option}.`)
  const given = ownOf<Policy>(value)
  const commands =
    given.commands === undefined ? base?.commands : commandsOf(`${option}.commands`, given.commands)
  const shell =
    given.shell === undefined ? (base?.shell ?? true) : trueOrFalse(`${option}.shell`, given.shell)
  const env = given.env === undefined ? base?.env : variablesOf(`${option}.env`, given.env)
  const allowsAll = commands === undefined && shell && env === undefined
  return allowsAll ? undefined : { commands, shell, env }
}

/** @throws {SubprocessOptionError} a TypeError. */
export function noNewPrivilegesOf(policy: Policy | undefined): boolean {
  const { noNewPrivileges = false } = policy ?? {}
  return trueOrFalse('policy.noNewPrivileges', noNewPrivileges)
}

/** A keeper that has renounced rights cannot take them back for a route. */
export function refuseForRoute(option: string, policy: unknown): void {
  const given = (policy as Policy | null | undefined)?.noNewPrivileges
  if (given === undefined) return
  const wayOut = 'it is for the whole server: set it at registration'
  throw new SubprocessOptionError(`${option}.noNewPrivileges`, given, wayOut)
}

function commandsOf(option: string, value: unknown): string[] {
  const wayOut = "give the name of a program, such as 'ffmpeg', or an absolute path"
  return listOf(option, value, wayOut, (command) => basename(command) === command || isAbsolute(command))
}

function variablesOf(option: string, value: unknown): string[] {
  return listOf(option, value, "give the name of a variable, such as 'PATH'", (name) => !name.includes('='))
}

/** A copy of the list: the caller's may change. */
function listOf(
  option: string,
  value: unknown,
  wayOut: string,
  isValid: (entry: string) => boolean
): string[] {
  if (!Array.isArray(value)) throw new SubprocessOptionError(option, value, `set it to an array: ${wayOut}`)
  // By index: `map` and `forEach` skip holes.
  return Array.from(value, (entry: unknown, index) => {
    if (typeof entry === 'string' && entry !== '' && isValid(entry)) return entry
    throw new SubprocessOptionError(`${option}[${index}]`, entry, wayOut)
  })
}
