/**
 * Ends the processes of a scope whose keeper is lost. The next keeper ends them, so that the event loop of
 * the worker is free. If there is no next keeper, the worker ends them itself, in small steps across turns of
 * its event loop.
 */

import { endContainers } from '../containment/end-containers.js'
import { scanFailedMessage, uninspected } from '../containment/ended-processes.js'
import { recordRelease, recordReleasedProcess } from '../containment/release-registry.js'
import { removeFolders } from '../containment/remove-scope-folders.js'
import { ScopeRecord } from '../containment/scope-record.js'
import { terminate } from '../containment/terminate.js'
import type { KeeperLink } from '../link/keeper-link.js'
import type { Logger } from '../log.js'
import {
  type Containers,
  loadContainers,
  type NativeCalls,
  type ProcessStat,
  platform
} from '../platform/current.js'
import { captureIn } from '../subprocess/capture.js'
import { workerIn } from '../wire/mark.js'
import type { EndedProcess, KeeperReport, ProcessName, ScopeFolder, ScopeOpening } from '../wire/messages.js'
import { censusOfLostScopes } from './census-of-lost-scopes.js'

/** The processes of a lost keeper that the worker knows. */
export interface LostProcesses {
  /** Pids of commands that the keeper started and whose exit it has not reported. */
  readonly leaders: readonly number[]
  /** Processes that the worker started or that the scope adopted. */
  readonly external: readonly ProcessName[]
  /** Pids of released commands. */
  readonly releasedCommands: readonly number[]
  /** Processes that were adopted first and released later. */
  readonly releasedAdopted: readonly ProcessName[]
}

/** What the worker knows of a scope whose keeper is lost. */
export interface LostScope extends LostProcesses {
  /** The number of the scope, the same at all its keepers. */
  readonly scope: number
  readonly opening: ScopeOpening
  /** To be removed with the scope. */
  readonly folders: readonly ScopeFolder[]
}

/** A lost scope whose processes are identified by pid and start time. */
interface IdentifiedScope extends Pick<LostScope, 'scope' | 'opening' | 'releasedAdopted' | 'folders'> {
  readonly mark: string
  /** The directory of the cgroup that the lost keeper may have made. */
  readonly cgroup: string | undefined
  /** To be ended. */
  readonly processes: readonly ProcessName[]
  readonly releasedCommands: readonly ProcessName[]
}

let loading: Promise<NativeCalls | undefined> | undefined

/** Ends the processes of a scope at a lost keeper. Resolves when each is gone or has survived SIGKILL. */
export async function endLostScope(link: KeeperLink, lost: LostScope, log: Logger): Promise<KeeperReport> {
  const identified = identify(link, lost)
  for (let next = link.successor; next !== undefined; next = next.successor) {
    const report = await handOver(next, identified)
    if (report !== undefined) return report
  }
  const processes = await endInWorker(identified, log).catch((err: Error) => {
    log.error({ err, scope: identified.opening.id }, scanFailedMessage)
    // Only these processes are known, not their descendants.
    return identified.processes.map(({ pid, startTick }) => uninspected(pid, startTick, err.message))
  })
  return { processes, leftFolders: await removeFolders(identified.folders) }
}

/** When the process started, in clock ticks since boot; 0 if unknown. */
export function startTickOf(pid: number): number {
  return statIfReadable(pid)?.startTick ?? 0
}

/** Must run at once: until the keeper was lost, a moment ago, it prevented the reuse of these pids. */
function identify(link: KeeperLink, lost: LostScope): IdentifiedScope {
  const { scope, opening, leaders, external, releasedCommands, releasedAdopted, folders } = lost
  // The keeper starts each command as a session leader, or in the keeper's own session.
  const isLeader = ({ pid, session }: ProcessStat): boolean => session === pid || session === link.pid
  const stats = leaders.flatMap((pid) => statIfReadable(pid) ?? []).filter(isLeader)
  return {
    scope,
    opening,
    releasedAdopted,
    folders,
    mark: link.markOf(scope),
    cgroup: link.cgroupOf(scope),
    processes: [...external, ...stats.map(({ pid, startTick }) => ({ pid, startTick }))],
    // Elsewhere the next keeper finds nothing of the lost one, and so ends nothing of it.
    releasedCommands: platform.findsProcessesByMark
      ? releasedCommands.map((pid) => ({ pid, startTick: startTickOf(pid) }))
      : []
  }
}

/** Lets another keeper end the scope. Resolves with undefined if that keeper is lost before it reports. */
function handOver(next: KeeperLink, identified: IdentifiedScope): Promise<KeeperReport | undefined> {
  const { scope, opening, cgroup, processes, releasedCommands, releasedAdopted, folders } = identified
  next.inheritScope(scope, opening, cgroup)
  for (const [index, process] of [...processes, ...releasedCommands].entries()) {
    next.adopt(scope, process, { number: commandNumber(index) })
  }
  for (const { pid } of releasedCommands) next.release(scope, pid)
  for (const process of releasedAdopted) next.releaseAdopted(scope, process)
  for (const folder of folders) next.addFolder(scope, folder)
  return next.closeScope(scope)
}

async function endInWorker(identified: IdentifiedScope, log: Logger): Promise<EndedProcess[]> {
  const { scope, mark, cgroup, opening, processes, releasedCommands, releasedAdopted } = identified
  const containers = await loadContainers()
  // What the keeper had started there has ended with it.
  if (containers !== undefined) return endContained(containers, processes, opening)
  loading ??= platform.loadNativeCalls().then((native) => (native instanceof Error ? undefined : native))
  const native = await loading
  const census = censusOfLostScopes()
  const record = new ScopeRecord(scope, mark, opening, native)
  // No process of the scope is older than its worker.
  record.external.mayExistSince(workerIn(mark)?.startTick ?? 0)
  census.open(record, cgroup)
  for (const process of releasedCommands) if (isSameProcess(process)) census.release(record, process.pid)
  // Record the releases once more: the keeper may have been lost before it read them.
  if (releasedCommands.length > 0) ignoreErrors(() => recordRelease(mark))
  for (const process of releasedAdopted) {
    if (!isSameProcess(process)) continue
    census.releaseExternal(record, process.pid)
    ignoreErrors(() => recordReleasedProcess(process))
  }
  for (const [index, process] of processes.entries()) {
    record.external.adopt(process)
    record.commands.started(commandNumber(index), process.pid)
  }
  // What lists processes for it is no subprocess of the request.
  const ended = await captureIn(undefined, () => terminate(census, record, native))
  const { scanFailure: why } = record
  if (why !== undefined) log.error({ why, scope: opening.id }, scanFailedMessage)
  census.close(
    record,
    ended.some(({ ended }) => ended === 'survived')
  )
  record.external.close()
  return ended
}

async function endContained(
  containers: Containers,
  processes: readonly ProcessName[],
  opening: ScopeOpening
): Promise<EndedProcess[]> {
  const adopted = processes.flatMap(({ pid }) => containers.adopt(pid) ?? [])
  const ended = await endContainers(() => adopted, opening, platform.commandOf)
  for (const container of adopted) if (container.isEmpty()) container.close()
  return ended
}

/**
 * Negative: the command numbers in the environments of these processes are not known here, and a made-up
 * number must not be that of another command.
 */
function commandNumber(index: number): number {
  return -1 - index
}

/** Whether the pid still belongs to this process. */
function isSameProcess({ pid, startTick }: ProcessName): boolean {
  return statIfReadable(pid)?.startTick === startTick
}

/** Undefined also if the worker is out of descriptors. The process may be found by its mark later. */
function statIfReadable(pid: number): ProcessStat | undefined {
  try {
    return platform.statOf(pid)
  } catch {
    return undefined
  }
}

/** Why a release cannot be recorded is logged by the keeper: it was, or will be at the next release. */
function ignoreErrors(record: () => void): void {
  try {
    record()
  } catch {}
}
