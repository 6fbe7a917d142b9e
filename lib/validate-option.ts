/**
 * Validators for single option values: each throws a `SubprocessOptionError`, which says what to set instead.
 */

import { constants } from 'node:os'
import { isAbsolute } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { isRegExp } from 'node:util/types'
import { type Containment, containmentLevels } from './containment-level.js'
import { SubprocessOptionError } from './errors.js'

// The longest delay of a Node timer (2^31 - 1 ms, 24.8 days). A longer one would fire at once.
const maxDelayMs = 2_147_483_647

// A shorter block is normal for an event loop: a large JSON text, a garbage collection.
const minWorkerTimeoutMs = 100

// Signals whose default action does not end a process (signal(7)). As a first signal they would only cost
// every process its grace period.
const nonTerminatingSignals = new Set([
  'SIGSTOP',
  'SIGTSTP',
  'SIGTTIN',
  'SIGTTOU',
  'SIGCONT',
  'SIGCHLD',
  'SIGURG',
  'SIGWINCH'
])

/** Refuses options that do not exist. `where` is the prefix of their names. */
export function refuseUnknown(options: object, known: readonly string[], where: string): void {
  for (const [name, value] of Object.entries(options)) {
    if (known.includes(name)) continue
    const wayOut = `no such option; the options are ${known.join(', ')}`
    throw new SubprocessOptionError(where + name, value, wayOut)
  }
}

/** A number of ms that a Node timer accepts. */
export function milliseconds(option: string, value: unknown): number {
  if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= maxDelayMs) return value
  throw new SubprocessOptionError(
    option,
    value,
    `set it to a whole number of milliseconds from 0 to ${maxDelayMs}`
  )
}

/** A deadline in ms; `false` gives `Infinity`. */
export function timeoutOf(option: string, value: unknown): number {
  if (value === false) return Number.POSITIVE_INFINITY
  if (value === 0) {
    throw new SubprocessOptionError(option, value, 'set it to false for no deadline, or to 1 ms or more')
  }
  return milliseconds(option, value)
}

/** The timeout of the worker in ms; `false` gives undefined. */
export function workerTimeoutOf(value: unknown): number | undefined {
  if (value === undefined || value === false) return undefined
  if (typeof value === 'number' && value < minWorkerTimeoutMs) {
    const wayOut = `set it to false, or to ${minWorkerTimeoutMs} ms or more: a shorter block is not a hang`
    throw new SubprocessOptionError('workerTimeout', value, wayOut)
  }
  return milliseconds('workerTimeout', value)
}

/** An AbortSignal of any realm, or undefined. */
export function abortSignal(option: string, value: unknown): AbortSignal | undefined {
  if (value === undefined || (typeof value === 'object' && value !== null && 'aborted' in value))
    return value as AbortSignal | undefined
  throw new SubprocessOptionError(option, value, 'give an AbortSignal')
}

export function trueOrFalse(option: string, value: unknown): boolean {
  if (typeof value === 'boolean') return value
  throw new SubprocessOptionError(option, value, 'set it to true or false')
}

/** Whether the default action of a signal ends a process. */
export function endsProcess(signal: NodeJS.Signals): boolean {
  return !nonTerminatingSignals.has(signal)
}

/** The name of a signal whose default action ends a process. */
export function endingSignal(option: string, value: unknown): NodeJS.Signals {
  if (typeof value === 'string' && value in constants.signals) {
    if (endsProcess(value as NodeJS.Signals)) return value as NodeJS.Signals
    const wayOut = 'this signal ends no process; SIGTERM, SIGINT and SIGHUP do'
    throw new SubprocessOptionError(option, value, wayOut)
  }
  throw new SubprocessOptionError(option, value, "set it to a signal's name, such as 'SIGTERM' or 'SIGINT'")
}

export function firstSignalToOf(option: string, value: unknown): 'tree' | 'command' {
  if (value === 'tree' || value === 'command') return value
  throw new SubprocessOptionError(option, value, "set it to 'tree' or 'command'")
}

export function launchOf(value: unknown): 'keeper' | 'direct' {
  if (value === 'keeper' || value === 'direct') return value
  throw new SubprocessOptionError('launch', value, "set it to 'keeper' or 'direct'")
}

/** The weakest level of containment that is accepted. */
export function containmentOf(value: unknown): Containment {
  const level = containmentLevels.find((one) => one === value)
  if (level !== undefined) return level
  const wayOut = `set it to the weakest level that is accepted, from the weakest to the strongest ${containmentLevels.join(', ')}`
  throw new SubprocessOptionError('containment', value, wayOut)
}

/** The URL of a module of hooks. */
export function hooksOf(value: unknown): string | undefined {
  if (value === undefined) return undefined
  const wayOut = "set it to new URL('./hooks.js', import.meta.url), or to the absolute path of a module"
  return fileUrl('hooks', value, wayOut)
}

/** The path of the keeper's file. */
export function keeperPathOf(value: unknown): string | undefined {
  if (value === undefined) return undefined
  const wayOut = "set it to new URL('./keeper.mjs', import.meta.url), or to an absolute path"
  return fileURLToPath(fileUrl('keeperPath', value, wayOut))
}

/** Accepts a `file:` URL or an absolute path. */
function fileUrl(option: string, value: unknown, wayOut: string): string {
  const url = typeof value === 'string' && isAbsolute(value) ? pathToFileURL(value) : value
  if ((url instanceof URL || typeof url === 'string') && /^file:/.test(String(url))) return String(url)
  throw new SubprocessOptionError(option, value, wayOut)
}

/** What is not captured; undefined if nothing is captured. */
export function captureOf(value: unknown): { except: (string | RegExp)[] } | undefined {
  if (value === false) return undefined
  if (value === true) return { except: [] }
  if (value === null || typeof value !== 'object' || Array.isArray(value)) {
    const wayOut = "set it to true or false, or to an object such as { except: ['soffice'] }"
    throw new SubprocessOptionError('capture', value, wayOut)
  }
  refuseUnknown(value, ['except'], 'capture.')
  return { except: exceptOf(ownOf<{ except?: unknown }>(value).except ?? []) }
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

/**
 * Options without inherited properties: a polluted `Object.prototype` has no effect, as in `child_process`.
 */
export function ownOf<Options extends object>(options: Options): Options {
  return Object.assign(Object.create(null), options)
}
