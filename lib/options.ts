/** The options: types, defaults, validation, and their merge with a route's. */

import { constants } from 'node:os'
import { isAbsolute } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { isRegExp } from 'node:util/types'
import { SubprocessOptionError } from './errors.js'

/**
 * Who gets the first signal at once when a command is ended: its whole tree, or the command's own process alone. In the
 * second case the rest of the tree gets it when that process has gone, or half of the grace has passed; or at once, where that process
 * neither handles nor ignores the signal, and so cannot pass it on.
 */
export type FirstSignalTo = 'tree' | 'command'

/** Options that a route may set for itself, in `config.subprocessGuard`. */
export interface RouteGuardOptions {
  /**
   * Deadline of a request, in ms from its arrival to the end of its response, streaming included.
   * `false` for none. Default 30,000.
   */
  timeout?: number | false
  /** Time between the first signal and SIGKILL, in ms. A tree that goes sooner is not waited for. Default 2,000. */
  grace?: number
  /** The first signal that every process of a scope gets when it closes. Default `'SIGTERM'`. */
  killSignal?: NodeJS.Signals
  /**
   * Who gets the first signal at once: every process (`'tree'`), or the process of each command alone (`'command'`). In the
   * second case the rest of a command's tree gets it when that process has gone, or half of `grace` has passed: programs such as
   * `timeout` pass a signal on, and what they run would get it twice. Where the process neither handles nor ignores the signal, all get it
   * at once all the same. A command may have its own. Default `'command'`.
   */
  firstSignalTo?: FirstSignalTo
  /**
   * Whether the commands of a scope get a folder of its own for temporary files (`TMPDIR`, `TMP`, `TEMP`), which is removed
   * when every process of the scope is gone: programs that are ended leave their files there. Default false.
   */
  privateTmp?: boolean
}

/** Options of the plugin, of the middleware and of `createGuard`. */
export interface SubprocessGuardOptions extends RouteGuardOptions {
  /**
   * How long the event loop of the worker may be blocked, in ms, 100 at the least; `false` for any time. After
   * that the worker is taken for hung: its subprocesses are ended, then it gets SIGABRT and, after `grace`, SIGKILL.
   * Whoever manages the worker starts the next one. Default false.
   */
  workerTimeout?: number | false
  /**
   * A module with the functions `workerAbort(info)`, `workerExit(info)`, or both, which the keeper runs when the
   * worker is hung and when it has ended without closing its guard: `new URL('./hooks.js', import.meta.url)`, or
   * an absolute path. See `WorkerHooks`.
   */
  hooks?: URL | string
  /** At shutdown, how long requests in flight may go on before their scopes close, in ms. Default 5,000. */
  drain?: number
  /**
   * Who starts commands: the keeper, or the worker itself (`'direct'`), whose event loop is blocked meanwhile and
   * whose daemons are found as at the level `marks`. Default `'keeper'`.
   */
  launch?: 'keeper' | 'direct'
  /**
   * Whether every child that is created by `child_process` in the course of a request is adopted by the request's
   * scope, whichever library creates it; an object says which commands are left out. See also `Guard.outside()`.
   * Default false.
   */
  capture?: boolean | CaptureOptions
  /**
   * The file of the keeper, for a bundled server: a copy of the package's `dist/keeper/main.js`, of the same version, as a `file:`
   * URL or an absolute path. Default: that file, or `subprocess-guard-keeper.mjs` beside the bundle.
   */
  keeperPath?: URL | string
}

/** What `capture` leaves out. */
export interface CaptureOptions {
  /**
   * Commands that are not captured. A string is the program as it was given to `child_process`, or the last part of its
   * path: `'soffice'`. A regular expression is tested against the command line, the program and its arguments joined
   * by spaces. With `shell: true` and `exec()` the program is the shell. Default: none.
   */
  except?: readonly (string | RegExp)[]
}

/** Options after validation: every field is set. */
export interface ResolvedRouteOptions {
  readonly timeoutMs: number
  readonly graceMs: number
  readonly killSignal: NodeJS.Signals
  readonly firstSignalTo: FirstSignalTo
  readonly privateTmp: boolean
}

export interface ResolvedOptions extends ResolvedRouteOptions {
  readonly drainMs: number
  /** Undefined for any time. */
  readonly workerTimeoutMs: number | undefined
  /** The URL of the module. */
  readonly hooks: string | undefined
  readonly launch: 'keeper' | 'direct'
  /** What is not captured; undefined where nothing is. */
  readonly capture: Required<CaptureOptions> | undefined
  /** Undefined for where this package has it. */
  readonly keeperPath: string | undefined
}

// The longest delay of a Node timer (2^31 - 1 ms, 24.8 days): a longer one would fire at once.
const longestDelayMs = 2_147_483_647

// Signals whose default action does not end a process (signal(7)): as a first signal they would only cost
// every process its grace.
const endsNothing = new Set([
  'SIGSTOP',
  'SIGTSTP',
  'SIGTTIN',
  'SIGTTOU',
  'SIGCONT',
  'SIGCHLD',
  'SIGURG',
  'SIGWINCH'
])

const routeNames = ['timeout', 'grace', 'killSignal', 'firstSignalTo', 'privateTmp']
const guardNames = [...routeNames, 'drain', 'workerTimeout', 'hooks', 'launch', 'capture', 'keeperPath']

const defaults: ResolvedOptions = {
  timeoutMs: 30_000,
  graceMs: 2_000,
  killSignal: 'SIGTERM',
  firstSignalTo: 'command',
  privateTmp: false,
  drainMs: 5_000,
  workerTimeoutMs: undefined,
  hooks: undefined,
  launch: 'keeper',
  capture: undefined,
  keeperPath: undefined
}

/** Options without what they inherit: a polluted `Object.prototype` decides nothing, as in `child_process`. */
export function ownOf<Options extends object>(options: Options): Options {
  return Object.assign(Object.create(null), options)
}

/** Validates the plugin's options. Throws a `SubprocessOptionError`, a TypeError. */
export function resolveOptions(given: SubprocessGuardOptions): ResolvedOptions {
  const options = ownOf(given)
  refuseUnknown(options, guardNames, '')
  return {
    ...resolveTimes(options, defaults, ''),
    drainMs: options.drain === undefined ? defaults.drainMs : milliseconds('drain', options.drain),
    workerTimeoutMs: workerTimeoutOf(options.workerTimeout),
    hooks: hooksOf(options.hooks),
    launch: options.launch === undefined ? defaults.launch : launchOf(options.launch),
    capture: options.capture === undefined ? defaults.capture : captureOf(options.capture),
    keeperPath: keeperPathOf(options.keeperPath)
  }
}

/**
 * Validates the options of a route, or of a job, and lays them over the guard's. `false` comes back as it is:
 * the route is not guarded. `where` is what the user calls them.
 */
export function resolveRouteOptions(
  options: unknown,
  base: ResolvedRouteOptions,
  where = 'config.subprocessGuard'
): ResolvedRouteOptions | false {
  if (options === false) return false
  if (options === null || typeof options !== 'object' || Array.isArray(options)) {
    throw new SubprocessOptionError(
      where,
      options,
      'set it to false, or to an object of timeout, grace, killSignal, firstSignalTo and privateTmp'
    )
  }
  for (const [name, value] of Object.entries(options)) {
    if (routeNames.includes(name) || !guardNames.includes(name)) continue
    const wayOut = 'it is for the whole server: set it at registration'
    throw new SubprocessOptionError(`${where}.${name}`, value, wayOut)
  }
  refuseUnknown(options, routeNames, `${where}.`)
  return resolveTimes(options, base, `${where}.`)
}

function resolveTimes(
  options: RouteGuardOptions,
  base: ResolvedRouteOptions,
  where: string
): ResolvedRouteOptions {
  const { timeout, grace, killSignal, firstSignalTo, privateTmp } = ownOf(options)
  return {
    timeoutMs: timeout === undefined ? base.timeoutMs : timeoutOf(`${where}timeout`, timeout),
    graceMs: grace === undefined ? base.graceMs : milliseconds(`${where}grace`, grace),
    killSignal: killSignal === undefined ? base.killSignal : endingSignal(`${where}killSignal`, killSignal),
    firstSignalTo:
      firstSignalTo === undefined
        ? base.firstSignalTo
        : firstSignalToOf(`${where}firstSignalTo`, firstSignalTo),
    privateTmp: privateTmp === undefined ? base.privateTmp : trueOrFalse(`${where}privateTmp`, privateTmp)
  }
}

function refuseUnknown(options: object, known: readonly string[], where: string): void {
  for (const [name, value] of Object.entries(options)) {
    if (known.includes(name)) continue
    throw new SubprocessOptionError(where + name, value, `no such option; there are ${known.join(', ')}`)
  }
}

function timeoutOf(option: string, value: unknown): number {
  if (value === false) return Number.POSITIVE_INFINITY
  if (value === 0) {
    throw new SubprocessOptionError(option, value, 'set it to false for no deadline, or to 1 ms or more')
  }
  return milliseconds(option, value)
}

/** Throws a TypeError for what is no number of milliseconds that a timer can take. */
export function milliseconds(option: string, value: unknown): number {
  if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= longestDelayMs)
    return value
  throw new SubprocessOptionError(
    option,
    value,
    `set it to a whole number of milliseconds from 0 to ${longestDelayMs}`
  )
}

/** Throws a TypeError for what is no AbortSignal, whosever it is. */
export function abortSignal(option: string, value: unknown): AbortSignal | undefined {
  if (value === undefined || (typeof value === 'object' && value !== null && 'aborted' in value))
    return value as AbortSignal | undefined
  throw new SubprocessOptionError(option, value, 'give an AbortSignal')
}

// A shorter block is the ordinary life of an event loop: a large JSON text, a garbage collection.
const shortestWorkerTimeoutMs = 100

function workerTimeoutOf(value: unknown): number | undefined {
  if (value === undefined || value === false) return undefined
  if (typeof value === 'number' && value < shortestWorkerTimeoutMs) {
    const wayOut = `set it to false, or to ${shortestWorkerTimeoutMs} ms or more: shorter blocks are no hang`
    throw new SubprocessOptionError('workerTimeout', value, wayOut)
  }
  return milliseconds('workerTimeout', value)
}

function hooksOf(value: unknown): string | undefined {
  if (value === undefined) return undefined
  const wayOut = "set it to new URL('./hooks.js', import.meta.url), or to the absolute path of a module"
  return fileUrl('hooks', value, wayOut)
}

function keeperPathOf(value: unknown): string | undefined {
  if (value === undefined) return undefined
  const wayOut = "set it to new URL('./keeper.mjs', import.meta.url), or to an absolute path"
  return fileURLToPath(fileUrl('keeperPath', value, wayOut))
}

/** Of a file: URL, or an absolute path. */
function fileUrl(option: string, value: unknown, wayOut: string): string {
  const url = typeof value === 'string' && isAbsolute(value) ? pathToFileURL(value) : value
  if ((url instanceof URL || typeof url === 'string') && /^file:/.test(String(url))) return String(url)
  throw new SubprocessOptionError(option, value, wayOut)
}

/** Throws a TypeError for what is neither. */
export function trueOrFalse(option: string, value: unknown): boolean {
  if (typeof value === 'boolean') return value
  throw new SubprocessOptionError(option, value, 'set it to true or false')
}

function launchOf(value: unknown): 'keeper' | 'direct' {
  if (value === 'keeper' || value === 'direct') return value
  throw new SubprocessOptionError('launch', value, "set it to 'keeper' or 'direct'")
}

/** Throws a TypeError for what is neither. */
export function firstSignalToOf(option: string, value: unknown): FirstSignalTo {
  if (value === 'tree' || value === 'command') return value
  throw new SubprocessOptionError(option, value, "set it to 'tree' or 'command'")
}

function captureOf(value: unknown): Required<CaptureOptions> | undefined {
  if (value === false) return undefined
  if (value === true) return { except: [] }
  if (value === null || typeof value !== 'object' || Array.isArray(value)) {
    const wayOut = "set it to true or false, or to an object such as { except: ['soffice'] }"
    throw new SubprocessOptionError('capture', value, wayOut)
  }
  refuseUnknown(value, ['except'], 'capture.')
  return { except: exceptOf(ownOf<CaptureOptions>(value).except ?? []) }
}

function exceptOf(value: unknown): (string | RegExp)[] {
  if (!Array.isArray(value)) {
    const wayOut = "set it to an array of commands and regular expressions, such as ['soffice', /--daemon/]"
    throw new SubprocessOptionError('capture.except', value, wayOut)
  }
  for (const [index, command] of value.entries()) {
    if (isRegExp(command) || (typeof command === 'string' && command !== '')) continue
    const wayOut = 'give the name or path of a program, or a regular expression'
    throw new SubprocessOptionError(`capture.except[${index}]`, command, wayOut)
  }
  return value
}

function endingSignal(option: string, value: unknown): NodeJS.Signals {
  if (typeof value === 'string' && value in constants.signals) {
    if (!endsNothing.has(value)) return value as NodeJS.Signals
    throw new SubprocessOptionError(
      option,
      value,
      'this signal ends no process; SIGTERM, SIGINT and SIGHUP do'
    )
  }
  throw new SubprocessOptionError(option, value, "set it to a signal's name, such as 'SIGTERM' or 'SIGINT'")
}
