/**
 * Records on disk what was released, for later keepers and sweeps. A released process outlives its scope and
 * its worker, but keeps its mark, since an environment cannot be changed from outside. So the mark is
 * recorded, and a sweep spares every process that has it: once the leader of a released command has ended,
 * its other processes cannot be told from the rest of the scope.
 *
 * A process that a scope adopted has the mark of its worker, like everything that the worker starts by
 * itself. So that process itself is recorded, and its descendants are spared with it.
 */

import { lstatSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { uptime } from 'node:os'
import { join } from 'node:path'
import { platform } from '../platform/current.js'
import { markName, ownRealm, type WorkerName, workerIn, workerMarkIn } from '../wire/mark.js'
import type { ProcessName } from '../wire/messages.js'
import { findMarkedProcesses } from './marked-processes.js'
import { isAlive, isLocal } from './worker-liveness.js'

// A worker that runs for months may release a command in each request: don't fill the tmpfs.
const recordsBetweenCleanups = 1_000
// The file name prefix of the record of a process. Then comes the process, named as a mark names a worker,
// with its realm.
const processPrefix = 'process_'
// A released command may still be starting, so that no process has the mark yet.
const launchMs = 60_000

let recordsSinceCleanup = 0

/** A log message about paths that someone else has taken. */
export function squattedLine(squatted: readonly string[]): string {
  return `${squatted.join('; ')}: another directory is used; remove it`
}

/**
 * Records that processes with this mark may outlive their worker. Returns a message for each path that
 * someone else has taken (see `makeOwnFolder`). Throws an `Error` with the reasons if no directory for
 * records is available, and a `RangeError` if this is not the mark of a scope.
 */
export function recordRelease(mark: string): readonly string[] {
  if (workerMarkIn(mark) === undefined) throw new RangeError(`not the mark of a scope: ${mark}`)
  return writeRecord(fileOf(mark))
}

/**
 * Records that a process which a scope adopted may outlive its worker. Returns a message for each path that
 * someone else has taken. Throws an `Error` with the reasons if no directory for records is available.
 */
export function recordReleasedProcess({ pid, startTick }: ProcessName): readonly string[] {
  const realm = ownRealm()
  const suffix = realm === '' ? '' : `~${realm}`
  return writeRecord(
    `${processPrefix}${platform.bootId()}.${platform.pidNamespace()}.${pid}.${startTick}${suffix}`
  )
}

/** The recorded processes that are alive; with `workerMark`, only those that have a mark of that worker. */
export function releasedPids(workerMark?: string): number[] {
  const pids: number[] = []
  for (const { process } of processRecords()) {
    if (!isLocal(process) || !isAlive(process)) continue
    const mark = workerMark === undefined ? undefined : platform.environmentOf(process.pid, markName)
    if (workerMark === undefined || workerMarkIn(mark ?? '') === workerMark) pids.push(process.pid)
  }
  return pids
}

function writeRecord(file: string): readonly string[] {
  try {
    const { squatted } = platform.makeOwnFolder((folder) =>
      writeFileSync(join(folder, file), '', { mode: 0o600 })
    )
    if (++recordsSinceCleanup >= recordsBetweenCleanups) removeStaleRecords()
    return squatted
  } catch (error) {
    const what = 'A release could not be recorded, so the next keeper would end the released process'
    throw new Error(`${what}: ${(error as Error).message}`, { cause: error })
  }
}

/** Whether a release with this mark is recorded. Only records of this user count. */
export function isReleased(mark: string): boolean {
  if (workerMarkIn(mark) === undefined) return false
  return platform.ownFolders().some((folder) => exists(join(folder, fileOf(mark))))
}

/**
 * Removes the records that protect no process any more: those of an earlier boot, those of processes that
 * have ended, and those with a mark that no process of this user has. Of the latter, only if the worker is
 * dead or the record is over a minute old.
 */
export function removeStaleRecords(): void {
  recordsSinceCleanup = 0
  try {
    for (const { path, process } of processRecords()) {
      if (isOfEarlierBoot(process, path) || (isLocal(process) && !isAlive(process)))
        rmSync(path, { force: true })
    }
    let stale = markRecords().filter(mayBeStale)
    // Two scans: the environment of a process reads as empty during its exec.
    for (let scan = 0; scan < 2 && stale.length > 0; scan++) {
      const inUse = new Set(findMarkedProcesses().marks.values())
      stale = stale.filter(({ mark }) => !inUse.has(mark))
    }
    for (const { path } of stale) rmSync(path, { force: true })
  } catch {
    // Stale records protect no process, so they may stay until the next cleanup.
  }
}

interface MarkRecord {
  readonly path: string
  readonly mark: string
  readonly worker: WorkerName
}

function markRecords(): MarkRecord[] {
  return recordFiles().flatMap(({ path, file }) => {
    const mark = file.replace('_', '/')
    const worker = workerIn(mark)
    return worker === undefined ? [] : [{ path, mark, worker }]
  })
}

interface ProcessRecord {
  readonly path: string
  readonly process: WorkerName
}

function processRecords(): ProcessRecord[] {
  return recordFiles().flatMap(({ path, file }) => {
    const process = file.startsWith(processPrefix) ? workerIn(file.slice(processPrefix.length)) : undefined
    return process === undefined ? [] : [{ path, process }]
  })
}

/** All files in the directories for records. */
function recordFiles(): { readonly path: string; readonly file: string }[] {
  return platform
    .ownFolders()
    .flatMap((folder) => readdirSync(folder).map((file) => ({ path: join(folder, file), file })))
}

function mayBeStale({ path, worker }: MarkRecord): boolean {
  if (isOfEarlierBoot(worker, path)) return true
  // Processes of another PID namespace or machine that have the mark may be invisible here.
  if (!isLocal(worker)) return false
  if (!isAlive(worker)) return true
  return Date.now() - madeAt(path) > launchMs
}

/**
 * The name of the boot is not enough: servers of this boot that see less of the machine, and those of another
 * machine with which the directory is shared, have another name for theirs.
 */
function isOfEarlierBoot({ bootId }: WorkerName, path: string): boolean {
  return bootId !== platform.bootId() && madeAt(path) < Date.now() - uptime() * 1_000
}

/** When a record was made, in ms since 1970. One that is gone counts as new. */
function madeAt(path: string): number {
  return lstatSync(path, { throwIfNoEntry: false })?.mtimeMs ?? Date.now()
}

function exists(path: string): boolean {
  try {
    return lstatSync(path, { throwIfNoEntry: false }) !== undefined
  } catch {
    return false
  }
}

/** A mark has exactly one slash, and no underscore. */
function fileOf(mark: string): string {
  return mark.replace('/', '_')
}
