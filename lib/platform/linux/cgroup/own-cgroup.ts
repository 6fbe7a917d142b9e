/** Finds the cgroup of a process, and the directory of the cgroup that this process is in. */

import { join, relative } from 'node:path'
import { listMounts, type Mount } from '../list-mounts.js'
import { readProc } from '../read-proc.js'

export interface OwnCgroup {
  /** Its path in the hierarchy, as this process sees it. */
  readonly path: string
  readonly folder: string
  /** The directory where the hierarchy is mounted. */
  readonly top: string
}

/** The path of the cgroup of a process in the hierarchy of version 2. Undefined if it has none or is gone. */
export function cgroupPathOf(pid: number | 'self'): string | undefined {
  const [, path] = /^0::(.*)$/m.exec(readProc(`/proc/${pid}/cgroup`) ?? '') ?? []
  return path === undefined ? undefined : Buffer.from(path, 'latin1').toString()
}

/** The cgroup of this process. Undefined if no hierarchy of version 2 is mounted that shows it. */
export function ownCgroup(): OwnCgroup | undefined {
  const path = cgroupPathOf('self')
  if (path === undefined) return undefined
  const mounts = cgroupMounts()
  for (const mount of mounts) {
    const folder = folderOf(path, mount)
    if (folder !== undefined && readProc(join(folder, 'cgroup.procs')) !== undefined) {
      return { path, folder, top: mount.path }
    }
  }
  return undefined
}

/** The mounts of the hierarchy of version 2. The first one is the one that is visible at its path. */
export function cgroupMounts(): Mount[] {
  return listMounts()
    .filter(({ type }) => type === 'cgroup2')
    .toReversed()
}

/** The directory of a cgroup. Undefined if it is outside the mounted part of the hierarchy. */
export function folderOf(path: string, { root, path: mountedAt }: Mount): string | undefined {
  const below = relative(root, path)
  return below.startsWith('..') ? undefined : join(mountedAt, below)
}
