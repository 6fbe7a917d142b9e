/** Lists the mounts that this process sees (proc_pid_mountinfo(5)). */

import { readProc } from './read-proc.js'

export interface Mount {
  /** The directory of the file system that is mounted. */
  readonly root: string
  readonly path: string
  readonly type: string
  /** The options of the file system, `name` or `name=value`. */
  readonly options: readonly string[]
}

/** All mounts. If one covers another, it comes later. */
export function listMounts(): Mount[] {
  const lines = decoded(readProc('/proc/self/mountinfo') ?? '').split('\n')
  return lines.flatMap((line) => {
    const [place = '', system] = line.split(' - ')
    const [, , , root, path] = place.split(' ')
    const [type, , options] = system?.split(' ') ?? []
    if (root === undefined || path === undefined || type === undefined) return []
    return [{ root: unescaped(root), path: unescaped(path), type, options: options?.split(',') ?? [] }]
  })
}

/** `readProc` takes each byte for a character. */
function decoded(text: string): string {
  return Buffer.from(text, 'latin1').toString()
}

/** Blanks and line feeds are escaped in octal. */
function unescaped(path: string): string {
  return path.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)))
}
