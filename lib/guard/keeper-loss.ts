/**
 * The end of what a lost keeper had running. The next keeper does it, beside the worker's event loop. Where there is none, the worker
 * does it itself, a little in each turn of the loop.
 */

import { IncrementalCensus } from '../containment/incremental-census.js'
import { OrphanAdopter } from '../containment/orphan-adopter.js'
import { noteRelease, noteReleasedProcess } from '../containment/release-registry.js'
import { removeFolders } from '../containment/scope-folders.js'
import { ScopeRecord } from '../containment/scope-record.js'
import { terminate, unseenLine } from '../containment/terminate.js'
import type { KeeperLink } from '../link/keeper-link.js'
import type { Logger } from '../log.js'
import { type Libc, loadLibc, type ProcessStat, parentOfOrphans, statOf } from '../platform/current.js'
import { captureIn } from '../subprocess/capture.js'
import { workerIn } from '../wire/mark.js'
import type { EndedProcess, KeeperReport, ProcessName, ScopeFolder, ScopeOpening } from '../wire/messages.js'

/** What the worker knows of a scope whose keeper is lost. */
export interface LostScope {
  /** Its number. */
  readonly scope: number
  readonly opening: ScopeOpening
  /** The processes that the keeper had started and of whose end it had not told. */
  readonly leaders: readonly number[]
  /** Those that the worker had started, or taken in. */
  readonly foreign: readonly ProcessName[]
  /** The commands that were let go. */
  readonly released: readonly number[]
  /** Those of what it had taken in that were let go. */
  readonly letGo: readonly ProcessName[]
  /** Those that go with it. */
  readonly folders: readonly ScopeFolder[]
}

/** The same by processes. */
interface Lost extends Omit<LostScope, 'leaders' | 'foreign' | 'released'> {
  readonly mark: string
  readonly processes: readonly ProcessName[]
  readonly released: readonly ProcessName[]
}

// One for all scopes, which share its looks.
let census: IncrementalCensus | undefined
let loading: Promise<Libc | undefined> | undefined

/** Ends what the keeper of that link had running. Resolves when none is left or what is left has withstood SIGKILL. */
export async function endLost(link: KeeperLink, given: LostScope, log: Logger): Promise<KeeperReport> {
  const lost = nameAll(link, given)
  for (let next = link.successor; next !== undefined; next = next.successor) {
    const report = await handOver(next, lost)
    if (report !== undefined) return report
  }
  const processes = await endHere(lost, log).catch((err: Error) => {
    log.error({ err, scope: lost.opening.id }, unseenLine)
    return lost.processes.map((process) => unseen(process, err))
  })
  return { processes, leftFolders: await removeFolders(lost.folders) }
}

/** When the process started, in clock ticks since boot; 0 where that cannot be told. */
export function startTickOf(pid: number): number {
  return lookAt(pid)?.startTick ?? 0
}

/** Now: their numbers were held by the keeper until its end, a moment ago. */
function nameAll(link: KeeperLink, { leaders, foreign, released, ...lost }: LostScope): Lost {
  // The keeper makes each the leader of a session, or has it in its own.
  const isLeader = ({ pid, session }: ProcessStat): boolean => session === pid || session === link.pid
  const stats = leaders.flatMap((pid) => lookAt(pid) ?? []).filter(isLeader)
  return {
    ...lost,
    mark: link.markOf(lost.scope),
    processes: [...foreign, ...stats.map(({ pid, startTick }) => ({ pid, startTick }))],
    released: released.map((pid) => ({ pid, startTick: startTickOf(pid) }))
  }
}

/** Has that keeper end the scope. Resolves with undefined when it was lost before it could say how. */
function handOver(next: KeeperLink, lost: Lost): Promise<KeeperReport | undefined> {
  const { scope, opening, processes, released, letGo, folders } = lost
  next.inheritScope(scope, opening)
  for (const [index, process] of [...processes, ...released].entries()) {
    next.adopt(scope, process, { number: commandNumber(index) })
  }
  for (const { pid } of released) next.release(scope, pid)
  for (const process of letGo) next.releaseAdopted(scope, process)
  for (const folder of folders) next.addFolder(scope, folder)
  return next.closeScope(scope)
}

async function endHere(
  { mark, opening, processes, released, letGo }: Lost,
  log: Logger
): Promise<EndedProcess[]> {
  loading ??= loadLibc().then((libc) => (libc instanceof Error ? undefined : libc))
  const libc = await loading
  census ??= new IncrementalCensus({
    isWorker: (pid) => pid === process.pid,
    adopter: new OrphanAdopter({ place: process.pid, find: () => captureIn(undefined, parentOfOrphans) })
  })
  const record = new ScopeRecord(0, mark, opening, libc)
  // Nothing of the scope is older than its worker.
  record.foreign.suspectSince(workerIn(mark)?.startTick ?? 0)
  census.open(record)
  for (const name of released) if (isStill(name)) census.release(record, name.pid)
  // The keeper may have been lost before it heard of the release.
  if (released.length > 0) noteAgain(() => noteRelease(mark))
  for (const name of letGo) {
    if (!isStill(name)) continue
    census.letGo(record, name.pid)
    noteAgain(() => noteReleasedProcess(name))
  }
  for (const [index, name] of processes.entries()) {
    record.foreign.adopt(name)
    record.commands.started(commandNumber(index), name.pid)
  }
  const ended = await terminate(census, record, libc)
  const { whyUnseen: why } = record
  if (why !== undefined) log.error({ why, scope: opening.id }, unseenLine)
  census.forget(
    record,
    ended.some(({ ended }) => ended === 'survived')
  )
  record.foreign.close()
  return ended
}

/** Of one that is known to this process alone. */
function unseen({ pid, startTick }: ProcessName, { message }: Error): EndedProcess {
  const why = `it could not be looked at: ${message}`
  return { pid, command: `[started at tick ${startTick}]`, ended: 'survived', why }
}

/** Below 0: the numbers that their environments have are not known here, and must not seem to be another's. */
function commandNumber(index: number): number {
  return -1 - index
}

function isStill({ pid, startTick }: ProcessName): boolean {
  return lookAt(pid)?.startTick === startTick
}

/** Undefined also for want of descriptors. By its mark the process may be found later. */
function lookAt(pid: number): ProcessStat | undefined {
  try {
    return statOf(pid)
  } catch {
    return undefined
  }
}

function noteAgain(note: () => void): void {
  try {
    note()
  } catch {
    // The keeper has said why, or will at the next release.
  }
}
