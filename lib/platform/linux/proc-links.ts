/**
 * Paths that lead to a file by way of a process, whatever name the file has (proc_pid_cwd(5),
 * proc_pid_fd(5)).
 */

import { closeSync, constants, openSync } from 'node:fs'
import type { ForeignFolder } from '../platform.js'

/** The current directory of a process, also after it was renamed or removed. */
export function cwdPathOf(pid: number): string {
  return `/proc/${pid}/cwd`
}

/** What a descriptor of this process has open. */
export function descriptorPath(descriptor: number): string {
  return `/proc/self/fd/${descriptor}`
}

/** Opens a directory at a path as another process sees it, which may have mounts of its own. */
export function openFolderOf(pid: number, path: string): ForeignFolder {
  const descriptor = openSync(`/proc/${pid}/root/${path}`, constants.O_RDONLY | constants.O_DIRECTORY)
  return { path: descriptorPath(descriptor), close: () => closeSync(descriptor) }
}
