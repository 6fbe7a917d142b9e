/** The names of folders that keepers and scopes make: each names the worker, so that a sweep can remove it later. */

import { createHash } from 'node:crypto'
import { bootId, pidNamespace } from '../platform/current.js'
import { type WorkerName, workerIn } from './mark.js'

/** Who made a folder, as its name tells. */
export interface FolderName {
  /** What names the worker, as `folderTagOf` does. */
  readonly tag: string
  readonly worker: Omit<WorkerName, 'realm'>
  /** The scope that it belongs to; undefined for the folder of a keeper's socket. */
  readonly scope: number | undefined
}

/**
 * What a folder has in its name so that its worker can be told from it: short, since the path of a socket in it is. The first
 * part stands for boot and PID namespace: machines may share a folder, and containers too.
 */
export function folderTagOf(worker: Omit<WorkerName, 'realm'> | string): string {
  const name = typeof worker === 'string' ? workerIn(worker) : worker
  if (name === undefined) return 'unknown'
  return [placeTagOf(name.bootId, name.pidNamespace), inShort(name.pid), inShort(name.startTick)].join('_')
}

/** What the name of the folder of a keeper's socket begins with. A random end follows, so that nobody can take it first. */
export function socketFolderPrefix(workerMark: string): string {
  return `subprocess-guard-${folderTagOf(workerMark)}_`
}

/** The same for a folder of a scope. */
export function scopeFolderPrefix(workerMark: string, scope: number): string {
  return `subprocess-${folderTagOf(workerMark)}_${inShort(scope)}_`
}

/** What a folder for commands of another user has in it: that user's own one. */
export const otherUsersFolder = 'tmp'

const socketFolder = /^subprocess-guard-([0-9a-z]+)_([0-9a-z]+)_([0-9a-z]+)_[0-9A-Za-z]{6}$/
const scopeFolder = /^subprocess-([0-9a-z]+)_([0-9a-z]+)_([0-9a-z]+)_([0-9a-z]+)_[0-9A-Za-z]{6}$/

/** What the name of a folder tells, if its worker is one of this boot and PID namespace; undefined for any other name. */
export function workerOfFolder(name: string): FolderName | undefined {
  const [, place, ...numbers] = (socketFolder.exec(name) ?? scopeFolder.exec(name) ?? []) as string[]
  const here = { bootId: bootId(), pidNamespace: pidNamespace() }
  if (place === undefined || place !== placeTagOf(here.bootId, here.pidNamespace)) return undefined
  const [pid, startTick, scope] = numbers.map((text) => Number.parseInt(text, 36))
  if (pid === undefined || startTick === undefined) return undefined
  const worker = { ...here, pid, startTick }
  return { tag: folderTagOf(worker), worker, scope }
}

/** 40 bits of a hash: who shares a folder are few. */
function placeTagOf(bootId: string, pidNamespace: string): string {
  const hash = createHash('sha256').update(`${bootId} ${pidNamespace}`).digest('hex')
  return inShort(Number.parseInt(hash.slice(0, 10), 16)).padStart(8, '0')
}

function inShort(number: number): string {
  return number.toString(36)
}
