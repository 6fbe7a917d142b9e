/** The options of the package: their types and defaults. Options of a route override those of the guard. */

import type { Containment } from './containment-level.js'
import { SubprocessOptionError } from './errors.js'
import { type Limits, noLimits, type ResolvedLimits, routeLimits, serverLimits } from './limit-options.js'
import {
  noNewPrivilegesOf,
  type Policy,
  type ResolvedPolicy,
  refuseForRoute,
  resolvePolicy
} from './policy-options.js'
import {
  defaultPriority,
  type ProcessPriority,
  priorityOf,
  type ResolvedPriority
} from './priority-options.js'
import {
  captureOf,
  containmentOf,
  endingSignal,
  firstSignalToOf,
  hooksOf,
  keeperPathOf,
  launchOf,
  milliseconds,
  ownOf,
  refuseUnknown,
  timeoutOf,
  trueOrFalse,
  workerTimeoutOf
} from './validate-option.js'

/**
 * Which processes get the first signal at once when a command is ended: the whole tree of the command
 * (`'tree'`), or the command's own process (`'command'`). With `'command'`, the rest of the tree gets the
 * signal when that process has exited or half of the grace period has passed. If the process neither handles
 * nor ignores the signal, it cannot pass it on, and the whole tree gets the signal at once.
 */
export type FirstSignalTo = 'tree' | 'command'

/** Options that a route may set in `config.subprocessGuard`. */
export interface RouteGuardOptions {
  /**
   * Deadline of a request, in ms from its arrival to the end of its response, streaming included. `false` for
   * no deadline. Default 30,000.
   */
  timeout?: number | false
  /**
   * Grace period: the time between the first signal and SIGKILL, in ms. It ends early when all processes have
   * exited. Default 2,000.
   */
  grace?: number
  /** The first signal that the processes of a scope get when it closes. Default `'SIGTERM'`. */
  killSignal?: NodeJS.Signals
  /**
   * Which processes get the first signal at once: all of them (`'tree'`), or only the process of each command
   * (`'command'`). Programs such as `timeout` pass a signal on; with `'tree'`, their children would get it
   * twice. With `'command'`, the rest of the tree gets the signal when the command's process has exited or
   * half of `grace` has passed, or at once if that process neither handles nor ignores the signal. A command
   * may have a value of its own. Default `'command'`.
   */
  firstSignalTo?: FirstSignalTo
  /**
   * Whether the commands of a scope get a directory of their own for temporary files (`TMPDIR`, `TMP`,
   * `TEMP`). It is removed when every process of the scope is gone; programs that are ended would otherwise
   * leave their files behind. Default false.
   */
  privateTmp?: boolean
  /**
   * How many commands run at once and how many may wait, and what the processes of a scope may use. A route or a
   * job that sets only some of these keys has the others from the guard. Default: no limits.
   */
  limits?: Limits
  /** How the system ranks the processes of a scope: processor, disks, and who is killed first when memory is full. */
  priority?: ProcessPriority
  /**
   * Which commands may be started, whether by a shell, and with which variables. A route or a job that sets
   * only some of these keys has the others from the guard. Default: everything is allowed.
   */
  policy?: Policy
}

/** Options of the plugin, of the middleware and of `createGuard`. */
export interface SubprocessGuardOptions extends RouteGuardOptions {
  /**
   * How long the event loop of the worker may be blocked, in ms; at least 100. `false` for no limit. A worker
   * that is blocked for longer is considered hung: its subprocesses are ended, then it gets SIGABRT and,
   * after `grace`, SIGKILL. To start the next worker is up to its process manager. Default false.
   */
  workerTimeout?: number | false
  /**
   * A module that exports `workerAbort(info)`, `workerExit(info)`, or both: a `file:` URL such as
   * `new URL('./hooks.js', import.meta.url)`, or an absolute path. The keeper calls the functions when the
   * worker hangs, and when it has ended without closing its guard. See `WorkerHooks`. Default: none.
   */
  hooks?: URL | string
  /**
   * At shutdown, how long requests in flight may continue before their scopes close, in ms. Default 5,000.
   */
  drain?: number
  /**
   * Which process starts commands: the keeper, or the worker itself (`'direct'`). A direct launch blocks the
   * event loop while it starts the command, and its daemons are found as with the containment `marks`.
   * Default `'keeper'`.
   */
  launch?: 'keeper' | 'direct'
  /**
   * Whether the scope of a request adopts every child that any code creates with `child_process` in the
   * course of the request. An object lists commands that are not captured. See also `Guard.outside()`.
   * Default false.
   */
  capture?: boolean | CaptureOptions
  /**
   * The keeper's file, for a bundled server: a copy of the package's `dist/keeper/main.js` of the same
   * version, as a `file:` URL or an absolute path. Default: that file, or `subprocess-guard-keeper.mjs`
   * beside the bundle.
   */
  keeperPath?: URL | string
  /**
   * The weakest level of containment that is accepted: registration fails with `ERR_SUBPROCESS_CONTAINMENT`
   * where only a weaker one can be had. See `Containment` for the levels and their order. Default `'tree'`:
   * every level is accepted.
   */
  containment?: Containment
}

/** What `capture` leaves out. */
export interface CaptureOptions {
  /**
   * Commands that are not captured. A string matches the program as it was given to `child_process`, or the
   * last component of its path: `'soffice'`. A regular expression is tested against the command line: the
   * program and its arguments, joined by spaces. With `shell: true` and with `exec()`, the program is the
   * shell. Default: none.
   */
  except?: readonly (string | RegExp)[]
}

/** The options of a route after validation. Every field is set. */
export interface ResolvedRouteOptions {
  /** `Infinity` for no deadline. */
  readonly timeoutMs: number
  readonly graceMs: number
  readonly killSignal: NodeJS.Signals
  readonly firstSignalTo: FirstSignalTo
  readonly privateTmp: boolean
  readonly limits: ResolvedLimits
  readonly priority: ResolvedPriority
  /** Undefined if everything is allowed. */
  readonly policy: ResolvedPolicy | undefined
}

/** The options of a guard after validation. */
export interface ResolvedOptions extends ResolvedRouteOptions {
  readonly drainMs: number
  /** Undefined for no limit. */
  readonly workerTimeoutMs: number | undefined
  /** The URL of the module. */
  readonly hooks: string | undefined
  readonly launch: 'keeper' | 'direct'
  readonly noNewPrivileges: boolean
  /** What is not captured. Undefined if nothing is captured. */
  readonly capture: Required<CaptureOptions> | undefined
  /** Undefined for the file of this package. */
  readonly keeperPath: string | undefined
  /** The weakest level that is accepted. */
  readonly containment: Containment
}

const routeNames = [
  ...['timeout', 'grace', 'killSignal', 'firstSignalTo', 'privateTmp', 'limits', 'priority', 'policy']
]
const guardNames = [
  ...routeNames,
  'drain',
  'workerTimeout',
  'hooks',
  'launch',
  'capture',
  'keeperPath',
  'containment'
]

const defaults: ResolvedOptions = {
  timeoutMs: 30_000,
  graceMs: 2_000,
  killSignal: 'SIGTERM',
  firstSignalTo: 'command',
  privateTmp: false,
  limits: noLimits,
  priority: defaultPriority,
  policy: undefined,
  drainMs: 5_000,
  workerTimeoutMs: undefined,
  hooks: undefined,
  launch: 'keeper',
  noNewPrivileges: false,
  capture: undefined,
  keeperPath: undefined,
  containment: 'tree'
}

/**
 * Validates the options of a guard and applies the defaults.
 * @throws {SubprocessOptionError} a TypeError.
 */
export function resolveOptions(given: SubprocessGuardOptions): ResolvedOptions {
  const options = ownOf(given)
  refuseUnknown(options, guardNames, '')
  return {
    ...resolveRouteFields(options, defaults, '', serverLimits('limits', options.limits)),
    drainMs: options.drain === undefined ? defaults.drainMs : milliseconds('drain', options.drain),
    workerTimeoutMs: workerTimeoutOf(options.workerTimeout),
    hooks: hooksOf(options.hooks),
    launch: options.launch === undefined ? defaults.launch : launchOf(options.launch),
    noNewPrivileges: noNewPrivilegesOf(options.policy),
    capture: options.capture === undefined ? defaults.capture : captureOf(options.capture),
    keeperPath: keeperPathOf(options.keeperPath),
    containment: options.containment === undefined ? defaults.containment : containmentOf(options.containment)
  }
}

/**
 * Validates the options of a route or a job, which override those of the guard. Returns `false` for `false`:
 * the route is not guarded. `where` is the user's name for the options.
 * @throws {SubprocessOptionError} a TypeError.
 */
export function resolveRouteOptions(
  options: unknown,
  base: ResolvedRouteOptions,
  where = 'config.subprocessGuard'
): ResolvedRouteOptions | false {
  if (options === false) return false
  if (options === null || typeof options !== 'object' || Array.isArray(options)) {
    const wayOut = `set it to false, or to an object of ${routeNames.slice(0, -1).join(', ')} and ${routeNames.at(-1)}`
    throw new SubprocessOptionError(where, options, wayOut)
  }
  for (const [name, value] of Object.entries(options)) {
    if (routeNames.includes(name) || !guardNames.includes(name)) continue
    const wayOut = 'it is for the whole server: set it at registration'
    throw new SubprocessOptionError(`${where}.${name}`, value, wayOut)
  }
  refuseUnknown(options, routeNames, `${where}.`)
  const { limits: givenLimits, policy } = ownOf<RouteGuardOptions>(options)
  refuseForRoute(`${where}.policy`, policy)
  const limits = routeLimits(`${where}.limits`, givenLimits, base.limits)
  return resolveRouteFields(options, base, `${where}.`, limits)
}

function resolveRouteFields(
  options: RouteGuardOptions,
  base: ResolvedRouteOptions,
  where: string,
  limits: ResolvedLimits
): ResolvedRouteOptions {
  const { timeout, grace, killSignal, firstSignalTo, privateTmp, priority, policy } = ownOf(options)
  return {
    timeoutMs: timeout === undefined ? base.timeoutMs : timeoutOf(`${where}timeout`, timeout),
    graceMs: grace === undefined ? base.graceMs : milliseconds(`${where}grace`, grace),
    killSignal: killSignal === undefined ? base.killSignal : endingSignal(`${where}killSignal`, killSignal),
    firstSignalTo:
      firstSignalTo === undefined
        ? base.firstSignalTo
        : firstSignalToOf(`${where}firstSignalTo`, firstSignalTo),
    privateTmp: privateTmp === undefined ? base.privateTmp : trueOrFalse(`${where}privateTmp`, privateTmp),
    limits,
    priority: priorityOf(`${where}priority`, priority, base.priority),
    policy: policy === undefined ? base.policy : resolvePolicy(`${where}policy`, policy, base.policy)
  }
}
