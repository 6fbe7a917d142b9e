/** Merges what several guards ask of their shared keeper, and refuses options that contradict each other. */

import { SubprocessOptionError } from '../errors.js'
import type { WorkerSettings } from '../wire/messages.js'
import type { KeeperClient } from './keeper-client.js'

/** The settings with the longest grace period, and the only timeout. Undefined without a guard. */
export function mergeWorkerSettings(clients: Iterable<KeeperClient>): WorkerSettings | undefined {
  const all = [...clients].map(({ settings }) => settings)
  const [first, ...others] = all
  if (first === undefined) return undefined
  const longest = others.reduce((one, other) => (other.graceMs > one.graceMs ? other : one), first)
  const workerTimeoutMs = all.find((settings) => settings.workerTimeoutMs !== undefined)?.workerTimeoutMs
  return { ...longest, workerTimeoutMs }
}

/** @throws {SubprocessOptionError} if another guard of this worker has a different `workerTimeout`. */
export function refuseOtherTimeout(
  clients: Iterable<KeeperClient>,
  { settings: { workerTimeoutMs } }: KeeperClient
): void {
  for (const { settings } of clients) {
    const other = settings.workerTimeoutMs
    if (other === undefined || workerTimeoutMs === undefined || other === workerTimeoutMs) continue
    const wayOut = `another guard of this worker has ${other}: set both to the same value, or set only one`
    throw new SubprocessOptionError('workerTimeout', workerTimeoutMs, wayOut)
  }
}

/** @throws {SubprocessOptionError} if `keeperPath` is not the file of the running keeper. */
export function refuseOtherPath(entry: string, { keeperPath }: KeeperClient): void {
  if (keeperPath === undefined || keeperPath === entry) return
  const wayOut = `another guard of this worker has started ${entry}: give the same path to each`
  throw new SubprocessOptionError('keeperPath', keeperPath, wayOut)
}
