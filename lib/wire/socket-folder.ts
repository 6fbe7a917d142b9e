/** The private folder of a keeper's socket: in the first place where there can be one. */

import { mkdtempSync, rmdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { isAbsolute, join } from 'node:path'
import { shieldedFirst } from '../platform/current.js'
import { socketFolderPrefix } from './folder-names.js'

// sockaddr_un.sun_path holds 108 bytes with the closing zero (unix(7)). A longer path is cut short unasked.
const longestPathBytes = 107

/** What the path of a keeper's socket ends with. */
export const socketPath = /\/subprocess-guard-[^/]+\/stdio$/

/** The path of the socket in a keeper's folder. */
export function socketIn(folder: string): string {
  return join(folder, 'stdio')
}

/**
 * Makes a folder that only this user may enter, named after a worker, and has `listen` open a socket in it. Resolves with the
 * folder. It adds to `failures` why there is none in one place after the other, and rejects after the last.
 */
export async function openSocketFolder(
  workerMark: string,
  listen: (path: string) => Promise<void>,
  failures: string[] = []
): Promise<string> {
  const places = [tmpdir(), process.env.XDG_RUNTIME_DIR ?? '', '/dev/shm'].filter((place) => place !== '')
  for (const parent of shieldedFirst(places)) {
    // The keeper and its worker are not in one folder.
    if (!isAbsolute(parent)) {
      failures.push(`${JSON.stringify(parent)} is not an absolute path`)
      continue
    }
    const template = join(parent, socketFolderPrefix(workerMark))
    if (Buffer.byteLength(socketIn(`${template}XXXXXX`)) > longestPathBytes) {
      failures.push(`${parent}: path too long for a socket`)
      continue
    }
    let folder: string | undefined
    try {
      folder = mkdtempSync(template)
      // There may be room for a folder and none for a socket, or a file system that has no sockets.
      await listen(socketIn(folder))
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

/** By name: a look at what is in it would need a descriptor. Where it fails, a sweep tries again when the worker is gone. */
export function removeSocketFolder(folder: string): void {
  try {
    rmSync(socketIn(folder), { force: true })
    rmdirSync(folder)
  } catch {}
}
