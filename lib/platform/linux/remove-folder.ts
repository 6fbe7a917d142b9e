/**
 * Removes a directory with everything in it. Another user may own or change its content. So each step starts
 * from an open directory, and not from a path, where that user could place a symbolic link in the meantime.
 */

import { constants } from 'node:fs'
import { chmod, type FileHandle, open } from 'node:fs/promises'
import { type OpenFolder, removeFolderBy } from '../posix/remove-folder-by.js'
import { descriptorPath } from './proc-links.js'

const openFlags = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW
// From open(2), the same on every architecture that Node runs on; Node has no constant for it. It opens a
// directory without the permission to read it.
const O_PATH = 0o10000000

/** Rejects with the first obstacle, after everything else was removed. */
export function removeFolder(path: string): Promise<void> {
  return removeFolderBy({ open: openFolder, makeAccessible }, path)
}

async function openFolder(path: string): Promise<OpenFolder | undefined> {
  let folder: FileHandle
  try {
    folder = await open(path, openFlags)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    // A symbolic link, or another file.
    if (code === 'ELOOP' || code === 'ENOTDIR') return undefined
    if (!(await makeAccessible(path, error))) throw error
    folder = await open(path, openFlags)
  }
  try {
    const { mode } = await folder.stat()
    if ((mode & 0o700) !== 0o700) await folder.chmod(0o700)
  } catch {
    // It is another user's. If that matters, the next step fails.
  }
  return { path: descriptorPath(folder.fd), close: () => folder.close() }
}

async function makeAccessible(path: string, error: unknown): Promise<boolean> {
  const { code } = error as NodeJS.ErrnoException
  if (code !== 'EACCES' && code !== 'EPERM') return false
  try {
    const folder = await open(path, O_PATH | constants.O_DIRECTORY | constants.O_NOFOLLOW)
    try {
      await chmod(descriptorPath(folder.fd), 0o700)
      return true
    } finally {
      await folder.close()
    }
  } catch {
    // It is another user's, or no directory.
    return false
  }
}
