/** The private directory of a keeper's socket: made in the first suitable place. */

import { lstatSync, mkdtempSync, readdirSync, rmdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, isAbsolute, join } from 'node:path'
import { platform } from '../platform/current.js'
import { socketFolderPrefix } from './folder-names.js'

/** Matches the path of a keeper's socket. */
export const socketPath = /\/subprocess-guard-[^/]+\/stdio$/

/**
 * Makes a directory that only this user may enter, named after a worker, and calls `listen` to open a socket
 * in it. Tries several places and resolves with the directory. Adds the reason why a place is not suitable to
 * `failures`. Rejects if no place is.
 */
export async function openSocketFolder(
  workerMark: string,
  listen: (path: string) => Promise<void>,
  failures: string[] = []
): Promise<string> {
  for (const parent of platform.protectedFirst(places())) {
    // A relative path means something else in the keeper: its working directory is not that of the worker.
    if (!isAbsolute(parent)) {
      failures.push(`${JSON.stringify(parent)} is not an absolute path`)
      continue
    }
    const template = join(parent, socketFolderPrefix(workerMark))
    if (Buffer.byteLength(platform.socketOf(`${template}XXXXXX`)) > platform.maxSocketPathBytes) {
      failures.push(`${parent}: path too long for a socket`)
      continue
    }
    let folder: string | undefined
    try {
      folder = mkdtempSync(template)
      // A file system may have room for a directory but not for a socket, or may not support sockets.
      await listen(platform.socketOf(folder))
      return folder
    } catch (error) {
      failures.push((error as Error).message)
      if (folder !== undefined) removeSocketFolder(folder)
    }
  }
  throw new Error(
    `no private folder for the keeper's socket (${failures.join('; ')}); set TMPDIR to a writable one`
  )
}

/**
 * The directories of a worker's keepers, by their names, for systems where no process tells its sockets. `owner` is the
 * user of the keepers, and `tmp` their TMPDIR, if it is known.
 */
export function findSocketFolders(workerMark: string, owner: number | undefined, tmp?: string): string[] {
  const prefix = socketFolderPrefix(workerMark)
  const parents = new Set([...(tmp === undefined ? [] : [tmp]), ...places()].filter(isAbsolute))
  const folders = [...parents].flatMap((parent) => namesIn(parent).map((name) => join(parent, name)))
  return folders.filter((path) => basename(path).startsWith(prefix) && ownerOf(path) === owner)
}

function places(): string[] {
  const own = [tmpdir(), process.env.XDG_RUNTIME_DIR ?? '']
  return [...own, ...platform.sharedFolders].filter((place) => place !== '')
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    // It does not exist, or this user may not read it.
    return []
  }
}

function ownerOf(path: string): number | undefined {
  return lstatSync(path, { throwIfNoEntry: false })?.uid
}

/**
 * Removes the directory by names: reading it would need a descriptor. After a failure, a sweep retries once
 * the worker is gone.
 */
export function removeSocketFolder(folder: string): void {
  try {
    if (!platform.usesNamedPipes) rmSync(platform.socketOf(folder), { force: true })
    rmdirSync(folder)
  } catch {}
}
