/** Names of the directories of keepers and scopes: each names its worker, so that a sweep can remove it. */

import { createHash } from 'node:crypto'
import { platform } from '../platform/current.js'
import { type WorkerName, workerIn } from './mark.js'

/** What the name of a directory tells about its owner. */
export interface FolderName {
  /** The part of the name that stands for the worker; see `folderTagOf`. */
  readonly tag: string
  readonly worker: Omit<WorkerName, 'realm'>
  /** The number of the scope. Undefined for the directory of a keeper's socket. */
  readonly scope: number | undefined
}

/**
 * The part of a directory's name that stands for the worker. It is short, because the length of a socket's
 * path is limited. Its first component stands for the boot and the PID namespace, since machines or
 * containers may share the parent directory.
 */
export function folderTagOf(worker: Omit<WorkerName, 'realm'> | string): string {
  const name = typeof worker === 'string' ? workerIn(worker) : worker
  if (name === undefined) return 'unknown'
  return [bootTagOf(name.bootId, name.pidNamespace), base36(name.pid), base36(name.startTick)].join('_')
}

/**
 * The start of the name of the directory of a keeper's socket. A random suffix follows, so that nobody can
 * create the directory first.
 */
export function socketFolderPrefix(workerMark: string): string {
  return `subprocess-guard-${folderTagOf(workerMark)}_`
}

/** The start of the name of a directory of a scope. A random suffix follows. */
export function scopeFolderPrefix(workerMark: string, scope: number): string {
  return `subprocess-${folderTagOf(workerMark)}_${base36(scope)}_`
}

/** The directory within the directory of a scope that belongs to another user, for commands of that user. */
export const otherUsersFolder = 'tmp'

const socketFolder = /^subprocess-guard-([0-9a-z]+)_([0-9a-z]+)_([0-9a-z]+)_[0-9A-Za-z]{6}$/
const scopeFolder = /^subprocess-([0-9a-z]+)_([0-9a-z]+)_([0-9a-z]+)_([0-9a-z]+)_[0-9A-Za-z]{6}$/

/** Parses the name of a directory. Undefined unless it belongs to a worker of this boot and PID namespace. */
export function workerOfFolder(name: string): FolderName | undefined {
  const [, bootTag, ...numbers] = (socketFolder.exec(name) ?? scopeFolder.exec(name) ?? []) as string[]
  const here = { bootId: platform.bootId(), pidNamespace: platform.pidNamespace() }
  if (bootTag === undefined || bootTag !== bootTagOf(here.bootId, here.pidNamespace)) return undefined
  const [pid, startTick, scope] = numbers.map((text) => Number.parseInt(text, 36))
  if (pid === undefined || startTick === undefined) return undefined
  const worker = { ...here, pid, startTick }
  return { tag: folderTagOf(worker), worker, scope }
}

/** 40 bits of a hash. They are enough: few boots and namespaces share a directory. */
function bootTagOf(bootId: string, pidNamespace: string): string {
  const hash = createHash('sha256').update(`${bootId} ${pidNamespace}`).digest('hex')
  return base36(Number.parseInt(hash.slice(0, 10), 16)).padStart(8, '0')
}

function base36(number: number): string {
  return number.toString(36)
}
