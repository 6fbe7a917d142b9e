/**
 * Removes a directory with everything in it, by paths. Another user who may write to a part of it can place a symbolic link
 * where a directory was a moment ago. Then what the link leads to is removed, with the rights of this process.
 */

import { chmod, lstat, readdir, rmdir, unlink } from 'node:fs/promises'
import { join } from 'node:path'

// A process that still writes there may add files during the removal.
const maxRounds = 3

/** Resolves when it is gone, or did not exist. Rejects with the first obstacle, after everything else was removed. */
export async function removeFolder(path: string): Promise<void> {
  for (let round = 1; ; round++) {
    const failures: NodeJS.ErrnoException[] = []
    await removeTree(path, failures)
    const [failure] = failures.filter(({ code }) => code !== 'ENOENT')
    if (failure === undefined) return
    if (failures.some(({ code }) => code !== 'ENOENT' && code !== 'ENOTEMPTY') || round === maxRounds)
      throw failure
  }
}

async function removeTree(path: string, failures: NodeJS.ErrnoException[]): Promise<void> {
  try {
    const stat = await lstat(path)
    if (!stat.isDirectory()) {
      await unlink(path)
      return
    }
    // Its owner may have taken all rights away from it, and cannot remove what is in it without.
    if (stat.uid === process.geteuid?.() && (stat.mode & 0o700) !== 0o700) await chmod(path, 0o700)
    // One after the other: there may be many, and each takes a thread.
    for (const name of await readdir(path)) await removeTree(join(path, name), failures)
    await rmdir(path)
  } catch (error) {
    failures.push(error as NodeJS.ErrnoException)
  }
}
