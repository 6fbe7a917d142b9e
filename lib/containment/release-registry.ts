/**
 * Notes of what was released, for keepers that come later. A released process is to outlive its scope and its worker,
 * but it keeps its mark: an environment cannot be changed from outside. So the mark is noted, and who sweeps spares
 * everything that carries it: once its leader is gone, what was let go cannot be told from what else the scope had.
 *
 * A process that a scope took in carries the mark of its worker, as all does that the worker starts by itself. So that
 * process is noted, and what descends from it is spared with it.
 */

import { lstatSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { bootId, environmentOf, makeOwnFolder, ownFolders, pidNamespace } from '../platform/current.js'
import { markName, ownRealm, type WorkerName, workerIn, workerMarkIn } from '../wire/mark.js'
import type { ProcessName } from '../wire/messages.js'
import { findMarkedProcesses } from './marked-processes.js'
import { isAlive, isLocal } from './worker-liveness.js'

// A worker that lives for months may release a command with each request: the notes must not fill the memory.
const notesBetweenDrops = 1_000
// What the file of a process begins with. What follows names it as a mark names a worker, with the realm of its own.
const processPrefix = 'process_'
// A released command may still be on its way to its start, and nobody carries the mark yet.
const launchMs = 60_000

let notesSinceDrop = 0

/**
 * Notes that processes with this mark may outlive their worker. Returns where somebody else was in the way (see
 * `makeOwnFolder`). Throws an `Error` that says why when no folder for notes can be had, and a `RangeError` for what is not
 * the mark of a scope.
 */
export function recordRelease(mark: string): readonly string[] {
  if (workerMarkIn(mark) === undefined) throw new RangeError(`not the mark of a scope: ${mark}`)
  return writeNote(fileOf(mark))
}

/**
 * Notes that a process which a scope took in may outlive its worker. Returns where somebody else was in the way. Throws an
 * `Error` that says why when no folder for notes can be had.
 */
export function recordReleasedProcess({ pid, startTick }: ProcessName): readonly string[] {
  const realm = ownRealm()
  const suffix = realm === '' ? '' : `~${realm}`
  return writeNote(`${processPrefix}${bootId()}.${pidNamespace()}.${pid}.${startTick}${suffix}`)
}

/** The processes that were released and live, or those of them that carry a mark of that worker. */
export function releasedPids(workerMark?: string): number[] {
  const found: number[] = []
  for (const { process } of processNotes()) {
    if (!isLocal(process) || !isAlive(process)) continue
    const mark = workerMark === undefined ? undefined : environmentOf(process.pid, markName)
    if (workerMark === undefined || workerMarkIn(mark ?? '') === workerMark) found.push(process.pid)
  }
  return found
}

function writeNote(file: string): readonly string[] {
  try {
    const { squatted } = makeOwnFolder((folder) => writeFileSync(join(folder, file), '', { mode: 0o600 }))
    if (++notesSinceDrop >= notesBetweenDrops) removeStaleRecords()
    return squatted
  } catch (error) {
    const what = 'A release could not be noted, so that the next keeper would end what was released'
    throw new Error(`${what}: ${(error as Error).message}`, { cause: error })
  }
}

/** Whether something with this mark was released. Only notes of this user count. */
export function isReleased(mark: string): boolean {
  if (workerMarkIn(mark) === undefined) return false
  return ownFolders().some((folder) => exists(join(folder, fileOf(mark))))
}

/**
 * Removes the notes that spare nothing any more: those of another boot, and those whose mark no process of this user
 * carries and whose worker is dead, or lives and made them more than a minute ago, and those of processes that have ended.
 */
export function removeStaleRecords(): void {
  notesSinceDrop = 0
  try {
    for (const { path, process } of processNotes()) {
      if (process.bootId !== bootId() || (isLocal(process) && !isAlive(process)))
        rmSync(path, { force: true })
    }
    let stale = notes().filter(mayBeStale)
    // Two looks: while a process becomes another program, its environment shows empty.
    for (let look = 0; look < 2 && stale.length > 0; look++) {
      const carried = new Set(findMarkedProcesses().marks.values())
      stale = stale.filter(({ mark }) => !carried.has(mark))
    }
    for (const { path } of stale) rmSync(path, { force: true })
  } catch {
    // They spare what nobody carries: there is another sweep.
  }
}

interface Note {
  readonly path: string
  readonly mark: string
  readonly worker: WorkerName
}

function notes(): Note[] {
  return noteFiles().flatMap(({ path, file }) => {
    const mark = file.replace('_', '/')
    const worker = workerIn(mark)
    return worker === undefined ? [] : [{ path, mark, worker }]
  })
}

interface ProcessNote {
  readonly path: string
  readonly process: WorkerName
}

function processNotes(): ProcessNote[] {
  return noteFiles().flatMap(({ path, file }) => {
    const process = file.startsWith(processPrefix) ? workerIn(file.slice(processPrefix.length)) : undefined
    return process === undefined ? [] : [{ path, process }]
  })
}

/** All files in the folders for notes. */
function noteFiles(): { readonly path: string; readonly file: string }[] {
  return ownFolders().flatMap((folder) =>
    readdirSync(folder).map((file) => ({ path: join(folder, file), file }))
  )
}

function mayBeStale({ path, worker }: Note): boolean {
  if (worker.bootId !== bootId()) return true
  // Who carries it may not be seen from here.
  if (worker.pidNamespace !== pidNamespace()) return false
  if (!isAlive(worker)) return true
  const madeAt = lstatSync(path, { throwIfNoEntry: false })?.mtimeMs ?? Date.now()
  return Date.now() - madeAt > launchMs
}

function exists(path: string): boolean {
  try {
    return lstatSync(path, { throwIfNoEntry: false }) !== undefined
  } catch {
    return false
  }
}

/** A mark holds one slash and no underscore. */
function fileOf(mark: string): string {
  return mark.replace('/', '_')
}
