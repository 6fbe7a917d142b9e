/**
 * Removes a directory with everything in it, by paths. Another user who may write to a part of it can place a symbolic link
 * where a directory was a moment ago. What the link leads to is removed then, with the rights of this process.
 */

import { chmod, lstat } from 'node:fs/promises'
import { type FolderAccess, removeFolderBy } from './remove-folder-by.js'

const byPath: FolderAccess = {
  async open(path) {
    const stat = await lstat(path)
    if (!stat.isDirectory()) return undefined
    // If it is another user's and that matters, the next step fails.
    if ((stat.mode & 0o700) !== 0o700) await chmod(path, 0o700).catch(() => {})
    return { path, async close() {} }
  },
  async makeAccessible(path, error) {
    const { code } = error as NodeJS.ErrnoException
    if (code !== 'EACCES' && code !== 'EPERM') return false
    return (await byPath.open(path).catch(() => undefined)) !== undefined
  }
}

/** Rejects with the first obstacle, after everything else was removed. */
export function removeFolder(path: string): Promise<void> {
  return removeFolderBy(byPath, path)
}
