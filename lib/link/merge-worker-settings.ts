/** Merges what several guards ask of their shared keeper, and refuses options that contradict each other. */

import { SubprocessOptionError } from '../errors.js'
import type { WorkerSettings } from '../wire/messages.js'
import type { KeeperUser } from './keeper-user.js'

/** The settings with the longest grace period, and the only timeout. Undefined without a guard. */
export function mergeWorkerSettings(users: Iterable<KeeperUser>): WorkerSettings | undefined {
  const all = [...users].map(({ settings }) => settings)
  const [first, ...others] = all
  if (first === undefined) return undefined
  const longest = others.reduce((one, other) => (other.graceMs > one.graceMs ? other : one), first)
  const workerTimeoutMs = all.find((settings) => settings.workerTimeoutMs !== undefined)?.workerTimeoutMs
  return { ...longest, workerTimeoutMs }
}

/** @throws {SubprocessOptionError} if another guard of this worker has a different `workerTimeout`. */
export function refuseOtherTimeout(
  users: Iterable<KeeperUser>,
  { settings: { workerTimeoutMs } }: KeeperUser
): void {
  for (const { settings } of users) {
    const other = settings.workerTimeoutMs
    if (other === undefined || workerTimeoutMs === undefined || other === workerTimeoutMs) continue
    const wayOut = `another guard of this worker has ${other}: set both to the same value, or set only one`
    throw new SubprocessOptionError('workerTimeout', workerTimeoutMs, wayOut)
  }
}

/** @throws {SubprocessOptionError} if `keeperPath` is not the file of the running keeper. */
export function refuseOtherPath(entry: string, { keeperPath }: KeeperUser): void {
  if (keeperPath === undefined || keeperPath === entry) return
  const wayOut = `another guard of this worker has started ${entry}: give the same path to each`
  throw new SubprocessOptionError('keeperPath', keeperPath, wayOut)
}
