/** The mark: the environment variable that every subprocess inherits, naming its worker and its scope. */

import { randomBytes } from 'node:crypto'
import { SubprocessOptionError } from '../errors.js'
import { bootId, pidNamespace, statOf } from '../platform/current.js'

/** The variable of every subprocess. */
export const markName = 'SUBPROCESS_GUARD_MARK'
/** The variable that numbers the command of a scope that a process comes from. It means nothing without the mark of that scope. */
export const commandNumberName = 'SUBPROCESS_GUARD_COMMAND'
/** The variable of a keeper itself: the mark of its worker. */
export const keeperMarkName = 'SUBPROCESS_GUARD_KEEPER'
/** The variable that names the realm of a process: a sweep ends only what workers of its own realm have left. */
export const realmName = 'SUBPROCESS_GUARD_REALM'
/** The scope of what a worker starts behind the guard's back: it belongs to no request. */
export const workerScope = 0

/** What a worker is known by: of all processes of this boot no other one has all of it. */
export interface WorkerName {
  readonly bootId: string
  /** The PID namespace in which the number is the worker's. */
  readonly pidNamespace: string
  readonly pid: number
  /** In clock ticks since boot. */
  readonly startTick: number
  /** Empty for the realm of everyone who sets none. */
  readonly realm: string
}

/**
 * The realm of this process. Servers that share a machine and a user normally share one, so that each cleans up after the
 * others. Parallel test runs must not.
 * @throws {SubprocessOptionError} when the variable cannot be part of a mark.
 */
export function ownRealm(): string {
  const realm = process.env[realmName] ?? ''
  if (!/^[0-9a-z-]{0,64}$/.test(realm)) {
    const wayOut = 'set it to at most 64 lower-case letters, digits and hyphens, or leave it unset'
    throw new SubprocessOptionError(realmName, realm, wayOut)
  }
  return realm
}

/** What the marks of all scopes of a worker begin with. */
export function workerMarkOf(worker: number): string {
  return `${bootId()}.${pidNamespace()}.${worker}.${statOf(worker)?.startTick ?? 0}`
}

// A process may have more than one guard that knows nothing of the others: in its threads, or by copies of this package.
const instance = randomBytes(4).toString('hex')

/**
 * What the marks of this copy of the package begin with: `workerMarkOf` this process, what no other copy has, and the realm.
 * @throws {SubprocessOptionError} see `ownRealm`.
 */
export function ownMark(): string {
  const realm = ownRealm()
  return `${workerMarkOf(process.pid)}.${instance}${realm === '' ? '' : `~${realm}`}`
}

/** The value of the mark for a scope of a worker. */
export function markOf(workerMark: string, scope: number): string {
  return `${workerMark}/${scope}`
}

/** What the mark of a scope begins with; undefined for what is no mark. */
export function workerMarkIn(mark: string): string | undefined {
  return /^([^/]+)\/\d+$/.exec(mark)?.[1]
}

/** The number of the scope that a mark names; undefined for what is no mark of a scope. */
export function scopeIn(mark: string): number | undefined {
  const number = /\/(\d+)$/.exec(mark)?.[1]
  return number === undefined ? undefined : Number(number)
}

/** The worker that a mark names, be it of a scope or of the worker; undefined for what is no mark. */
export function workerIn(mark: string): WorkerName | undefined {
  const [, bootId, pidNamespace, pid, startTick, realm = ''] =
    /^([0-9a-z-]+)\.(\d+)\.(\d+)\.(\d+)(?:\.[0-9a-f]+)?(?:~([0-9a-z-]+))?(?:\/\d+)?$/.exec(mark) ?? []
  if (bootId === undefined || pidNamespace === undefined) return undefined
  return { bootId, pidNamespace, pid: Number(pid), startTick: Number(startTick), realm }
}
