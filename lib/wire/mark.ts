/** The mark: an environment variable that all subprocesses inherit. It names their worker and their scope. */

import { randomBytes } from 'node:crypto'
import { SubprocessOptionError } from '../errors.js'
import { platform } from '../platform/current.js'

/** The environment variable of the mark. */
export const markName = 'SUBPROCESS_GUARD_MARK'
/** The environment variable with the number of a process's command. Valid only with the mark of its scope. */
export const commandNumberName = 'SUBPROCESS_GUARD_COMMAND'
/** The environment variable of a keeper itself: the mark of its worker. Its children do not inherit it. */
export const keeperMarkName = 'SUBPROCESS_GUARD_KEEPER'
/** The environment variable of a keeper whose commands must not get more rights than it has: `1`. */
export const noNewPrivilegesName = 'SUBPROCESS_GUARD_NO_NEW_PRIVILEGES'
/** The environment variable of the realm: a sweep ends only leftovers of workers of its own realm. */
export const realmName = 'SUBPROCESS_GUARD_REALM'
/** The number of the scope of processes that the worker starts outside any scope. */
export const workerScope = 0

/** The identity of a worker. No two processes have the same values in all fields. */
export interface WorkerName {
  readonly bootId: string
  /** The PID namespace that `pid` belongs to. */
  readonly pidNamespace: string
  readonly pid: number
  /** In clock ticks since boot. */
  readonly startTick: number
  /** Empty unless one is set. */
  readonly realm: string
}

/**
 * The realm of this process. Servers that share a machine and a user normally share a realm, so that each
 * cleans up after the others. Parallel test runs need different realms.
 * @throws {SubprocessOptionError} if the variable cannot be part of a mark.
 */
export function ownRealm(): string {
  const realm = process.env[realmName] ?? ''
  if (!/^[0-9a-z-]{0,64}$/.test(realm)) {
    const wayOut = 'set it to at most 64 lower-case letters, digits and hyphens, or leave it unset'
    throw new SubprocessOptionError(realmName, realm, wayOut)
  }
  return realm
}

/** The start of all marks of a worker. */
export function workerMarkOf(worker: number): string {
  return `${platform.bootId()}.${platform.pidNamespace()}.${worker}.${platform.statOf(worker)?.startTick ?? 0}`
}

// One process may have several guards that do not know each other: in worker threads, or from two copies of
// this package.
const instance = randomBytes(4).toString('hex')

/**
 * The start of all marks of this copy of the package: `workerMarkOf` this process, a random part that no
 * other copy has, and the realm.
 * @throws {SubprocessOptionError} see `ownRealm`.
 */
export function ownMark(): string {
  const realm = ownRealm()
  return `${workerMarkOf(process.pid)}.${instance}${realm === '' ? '' : `~${realm}`}`
}

/** The mark of a scope of a worker. */
export function markOf(workerMark: string, scope: number): string {
  return `${workerMark}/${scope}`
}

/** The part of a scope's mark that names the worker. Undefined if it is not a mark of a scope. */
export function workerMarkIn(mark: string): string | undefined {
  return /^([^/]+)\/\d+$/.exec(mark)?.[1]
}

/** The number of the scope that a mark names. Undefined if it is not a mark of a scope. */
export function scopeIn(mark: string): number | undefined {
  const number = /\/(\d+)$/.exec(mark)?.[1]
  return number === undefined ? undefined : Number(number)
}

/** The worker that a mark of a scope, or of a worker, names. Undefined if it is not a mark. */
export function workerIn(mark: string): WorkerName | undefined {
  const [, bootId, pidNamespace, pid, startTick, realm = ''] =
    /^([0-9a-z-]+)\.(\d+)\.(\d+)\.(\d+)(?:\.[0-9a-f]+)?(?:~([0-9a-z-]+))?(?:\/\d+)?$/.exec(mark) ?? []
  if (bootId === undefined || pidNamespace === undefined) return undefined
  return { bootId, pidNamespace, pid: Number(pid), startTick: Number(startTick), realm }
}
