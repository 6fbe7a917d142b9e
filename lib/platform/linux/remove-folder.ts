/**
 * Removes a directory with everything in it. Another user may own or change its content. So each step starts
 * from an open directory, and not from a path, where that user could place a symbolic link in the meantime.
 * Each subdirectory is first moved to the top directory, so that depth costs neither descriptors nor stack.
 */

import { randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import { chmod, type FileHandle, open, readdir, rename, rmdir, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { descriptorPath } from './proc-links.js'

const openFlags = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW
// From open(2), the same on every architecture that Node runs on; Node has no constant for it. It opens a
// directory without the permission to read it.
const O_PATH = 0o10000000
// Each removal has two descriptors open, and a thousand scopes may close at once.
const maxRemovals = 8
const unlinkBatchSize = 16
// A process that still writes there may add files during the removal.
const maxRounds = 3

let running = 0
const waiting: (() => void)[] = []

/**
 * Resolves when it is gone, or did not exist. Rejects with the first obstacle, after everything else was
 * removed.
 */
export async function removeFolder(path: string): Promise<void> {
  if (running >= maxRemovals) await new Promise<void>((resolve) => waiting.push(resolve))
  else running++
  try {
    await new Removal(path).run()
  } finally {
    const next = waiting.shift()
    if (next === undefined) running--
    else next()
  }
}

interface Subfolder {
  /** The name in the top directory. */
  readonly name: string
  /** The path where it was, for error messages. */
  readonly shownPath: string
}

class Removal {
  readonly #path: string
  // Random, so that it is no existing name.
  readonly #prefix = `.${randomBytes(8).toString('hex')}-`
  #moved = 0
  #failure: NodeJS.ErrnoException | undefined

  constructor(path: string) {
    this.#path = path
  }

  async run(): Promise<void> {
    for (let round = 1; ; round++) {
      this.#failure = undefined
      try {
        await this.#removeOnce()
        return
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException
        if (code === 'ENOENT') return
        if (code !== 'ENOTEMPTY' || this.#failure !== undefined || round === maxRounds) {
          throw this.#failure ?? error
        }
      }
    }
  }

  async #removeOnce(): Promise<void> {
    const top = await openFolder(this.#path)
    if (top === undefined) {
      await unlink(this.#path)
      return
    }
    try {
      const subfolders = await this.#empty(top, top, this.#path)
      for (let next = subfolders.pop(); next !== undefined; next = subfolders.pop()) {
        for (const below of await this.#removeSubfolder(top, next)) subfolders.push(below)
      }
    } finally {
      await top.close()
    }
    await rmdir(this.#path)
  }

  /**
   * Removes a directory in the top directory. Returns the directories that were in it, which are in the top
   * one now.
   */
  async #removeSubfolder(top: FileHandle, { name, shownPath }: Subfolder): Promise<Subfolder[]> {
    const path = join(pathOf(top), name)
    let below: Subfolder[] = []
    try {
      const folder = await openFolder(path)
      if (folder === undefined) {
        await unlink(path)
        return []
      }
      try {
        below = await this.#empty(folder, top, shownPath)
      } finally {
        await folder.close()
      }
      await rmdir(path)
    } catch (error) {
      this.#keepFirstFailure(error as NodeJS.ErrnoException, shownPath)
    }
    return below
  }

  /** Removes the files in a directory, moves its subdirectories to the top directory, and returns these. */
  async #empty(folder: FileHandle, top: FileHandle, shownFolderPath: string): Promise<Subfolder[]> {
    const subfolders: Subfolder[] = []
    const files: string[] = []
    for (const entry of await readdir(pathOf(folder), { withFileTypes: true })) {
      if (!entry.isDirectory()) {
        files.push(entry.name)
        continue
      }
      const shownPath = join(shownFolderPath, entry.name)
      try {
        const name = folder === top ? entry.name : await this.#moveToTop(folder, top, entry.name)
        subfolders.push({ name, shownPath })
      } catch (error) {
        this.#keepFirstFailure(error as NodeJS.ErrnoException, shownPath)
      }
    }
    for (let first = 0; first < files.length; first += unlinkBatchSize) {
      await Promise.all(
        files.slice(first, first + unlinkBatchSize).map(async (name) => {
          try {
            await unlink(join(pathOf(folder), name))
          } catch (error) {
            this.#keepFirstFailure(error as NodeJS.ErrnoException, join(shownFolderPath, name))
          }
        })
      )
    }
    return subfolders
  }

  /** Returns the new name. */
  async #moveToTop(folder: FileHandle, top: FileHandle, name: string): Promise<string> {
    const from = join(pathOf(folder), name)
    const moved = `${this.#prefix}${++this.#moved}`
    const to = join(pathOf(top), moved)
    try {
      await rename(from, to)
    } catch (error) {
      // A moved directory gets another parent, which is an entry in it: so its owner needs the permission to
      // write to it.
      if (!(await makeAccessible(from, error))) throw error
      await rename(from, to)
    }
    return moved
  }

  #keepFirstFailure(error: NodeJS.ErrnoException, shownPath: string): void {
    if (error.code === 'ENOENT' || error.code === 'ENOTEMPTY') return
    const { code, errno, syscall } = error
    const message = `${error.message.split(',')[0]}, ${syscall} '${shownPath}'`
    this.#failure ??= Object.assign(new Error(message), { code, errno, syscall, path: shownPath })
  }
}

/** Opens a directory, and gives its owner all permissions. Undefined if it is none. */
async function openFolder(path: string): Promise<FileHandle | undefined> {
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
  return folder
}

/**
 * If permissions may have caused the error: gives the owner of a directory, such as one of mode 000, all
 * permissions. Returns whether it did.
 */
async function makeAccessible(path: string, error: unknown): Promise<boolean> {
  const { code } = error as NodeJS.ErrnoException
  if (code !== 'EACCES' && code !== 'EPERM') return false
  try {
    const folder = await open(path, O_PATH | constants.O_DIRECTORY | constants.O_NOFOLLOW)
    try {
      await chmod(pathOf(folder), 0o700)
      return true
    } finally {
      await folder.close()
    }
  } catch {
    // It is another user's, or no directory.
    return false
  }
}

/** A path that leads to an open directory and nowhere else. */
function pathOf({ fd }: FileHandle): string {
  return descriptorPath(fd)
}
