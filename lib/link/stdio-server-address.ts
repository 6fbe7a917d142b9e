/** The address of the keeper's stdio server, whose socket file a cleanup tool may have deleted as too old. */

import { statSync } from 'node:fs'
import { platform } from '../platform/current.js'

export class StdioServerAddress {
  /** What every connection must send first; see `wire/connection-header.ts`. */
  readonly secret: string
  #path: string
  #inode: bigint | undefined

  constructor(path: string, secret: string) {
    this.secret = secret
    this.#path = path
    this.#inode = inodeOf(path)
  }

  get path(): string {
    return this.#path
  }

  /** Whether the socket at the path is the one that the keeper has opened. */
  exists(): boolean {
    return inodeOf(this.#path) === this.#inode
  }

  /** The keeper has opened a new socket. */
  moveTo(path: string): void {
    this.#path = path
    this.#inode = inodeOf(path)
  }
}

/**
 * The inode of the socket at that path. Undefined if there is none, or none that this user may see. A BigInt:
 * after a `statSync` of a socket that returns numbers, Node does not resolve modules behind a symbolic link
 * (`realpathSync` in its lib/fs.js reads the result of the last stat).
 */
function inodeOf(path: string): bigint | undefined {
  // No file leads to a named pipe: it is there as long as the keeper is. To look at it would open it.
  if (platform.usesNamedPipes) return undefined
  try {
    const stat = statSync(path, { throwIfNoEntry: false, bigint: true })
    return stat?.isSocket() ? stat.ino : undefined
  } catch {
    return undefined
  }
}
