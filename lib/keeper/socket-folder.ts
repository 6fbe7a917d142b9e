/** The private folder of a keeper's socket: in the first place where there can be one. */

import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { isAbsolute, join } from 'node:path'

// sockaddr_un.sun_path holds 108 bytes with the closing zero (unix(7)). A longer path is cut short unasked.
const longestPathBytes = 107

/** What the path of a keeper's socket ends with. */
export const socketPath = /\/subprocess-guard-[^/]+\/stdio$/

/** The path of the socket in a keeper's folder. */
export function socketIn(folder: string): string {
  return join(folder, 'stdio')
}

/**
 * Makes a folder that only this user may enter, with `tag` in its name, in which a socket has a path that is short enough. It adds
 * to `failures` why there is none in one place after the other. Throws after the last.
 */
export function makeSocketFolder(tag: string, failures: string[] = []): string {
  for (const parent of [tmpdir(), process.env.XDG_RUNTIME_DIR, '/dev/shm']) {
    if (!parent) continue
    // The keeper and its worker are not in one folder.
    if (!isAbsolute(parent)) {
      failures.push(`${JSON.stringify(parent)} is not an absolute path`)
      continue
    }
    const template = join(parent, `subprocess-guard-${tag}_`)
    if (Buffer.byteLength(socketIn(`${template}XXXXXX`)) > longestPathBytes) {
      failures.push(`${parent}: path too long for a socket`)
      continue
    }
    try {
      return mkdtempSync(template)
    } catch (error) {
      failures.push((error as Error).message)
    }
  }
  throw new Error(
    `no private folder for the keeper's socket (${failures.join('; ')}); set TMPDIR to a writable one`
  )
}
