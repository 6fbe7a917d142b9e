/** Merges what several guards ask of their shared keeper, and refuses options that contradict each other. */

import { isWeaker } from '../containment-level.js'
import { SubprocessError, SubprocessOptionError } from '../errors.js'
import type { WorkerSettings } from '../wire/messages.js'
import type { KeeperClient } from './keeper-client.js'
import type { KeeperLink } from './keeper-link.js'

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

/** @throws {SubprocessOptionError} if the running keeper was started with another `policy.noNewPrivileges`. */
export function refuseOtherPrivileges(
  clients: Iterable<KeeperClient>,
  { noNewPrivileges }: KeeperClient
): void {
  for (const client of clients) {
    if (client.noNewPrivileges === noNewPrivileges) continue
    const wayOut =
      'another guard of this worker has the other value, and they share a keeper: set both to the same'
    throw new SubprocessOptionError('policy.noNewPrivileges', noNewPrivileges, wayOut)
  }
}

/** @throws {SubprocessError} `ERR_SUBPROCESS_CONTAINMENT` if the keeper has a weaker level than is accepted. */
export function refuseWeakContainment(
  { containment, whyNotBest }: KeeperLink,
  { containment: least }: KeeperClient
): void {
  if (containment === undefined || !isWeaker(containment, least)) return
  const why = whyNotBest === undefined ? 'no better one exists on this system' : whyNotBest
  const detail = `the option containment is "${least}", and this machine allows "${containment}": ${why}`
  throw new SubprocessError('ERR_SUBPROCESS_CONTAINMENT', detail)
}
