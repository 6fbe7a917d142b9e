/** The names by which servers of this user find each other: in a directory that is private to the user. */

import { createHash } from 'node:crypto'
import { hostname, tmpdir } from 'node:os'
import { basename, join } from 'node:path'

/**
 * Stands for the machine: Node.js cannot tell the boot. A process of an earlier boot counts as one that has
 * ended, unless its pid is in use.
 */
export function bootId(): string {
  return createHash('sha256').update(hostname()).digest('hex').slice(0, 16)
}

/** The named pipe of a keeper, which is named after its directory. No file system has it, and it ends with the keeper. */
export function socketOf(folder: string): string {
  return `\\\\.\\pipe\\${basename(folder)}`
}

export function folderOf(socket: string): string {
  return join(tmpdir(), basename(socket))
}
