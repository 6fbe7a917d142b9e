/**
 * Removes a directory with everything in it. Each subdirectory is first moved to the top directory, so that depth costs
 * neither descriptors nor stack, and no path gets longer than the system allows.
 */

import { randomBytes } from 'node:crypto'
import { readdir, rename, rmdir, unlink } from 'node:fs/promises'
import { join } from 'node:path'

/** An open directory: `path` leads to it, and a system may have a path that leads nowhere else meanwhile. */
export interface OpenFolder {
  readonly path: string
  close(): Promise<void>
}

/** How a system opens directories. */
export interface FolderAccess {
  /** Opens a directory, and gives its owner all permissions. Undefined if it is none. */
  open(path: string): Promise<OpenFolder | undefined>
  /**
   * If permissions may have caused the error: gives the owner of a directory, such as one of mode 000, all
   * permissions. Returns whether it did.
   */
  makeAccessible(path: string, error: unknown): Promise<boolean>
}

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
export async function removeFolderBy(access: FolderAccess, path: string): Promise<void> {
  if (running >= maxRemovals) await new Promise<void>((resolve) => waiting.push(resolve))
  else running++
  try {
    await new Removal(access, path).run()
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
  readonly #access: FolderAccess
  readonly #path: string
  // Random, so that it is no existing name.
  readonly #prefix = `.${randomBytes(8).toString('hex')}-`
  #moved = 0
  #failure: NodeJS.ErrnoException | undefined

  constructor(access: FolderAccess, path: string) {
    this.#access = access
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
    const top = await this.#access.open(this.#path)
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
  async #removeSubfolder(top: OpenFolder, { name, shownPath }: Subfolder): Promise<Subfolder[]> {
    const path = join(top.path, name)
    let below: Subfolder[] = []
    try {
      const folder = await this.#access.open(path)
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
  async #empty(folder: OpenFolder, top: OpenFolder, shownFolderPath: string): Promise<Subfolder[]> {
    const subfolders: Subfolder[] = []
    const files: string[] = []
    for (const entry of await readdir(folder.path, { withFileTypes: true })) {
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
            await unlink(join(folder.path, name))
          } catch (error) {
            this.#keepFirstFailure(error as NodeJS.ErrnoException, join(shownFolderPath, name))
          }
        })
      )
    }
    return subfolders
  }

  /** Returns the new name. */
  async #moveToTop(folder: OpenFolder, top: OpenFolder, name: string): Promise<string> {
    const from = join(folder.path, name)
    const moved = `${this.#prefix}${++this.#moved}`
    const to = join(top.path, moved)
    try {
      await rename(from, to)
    } catch (error) {
      // A moved directory gets another parent, which is an entry in it: so its owner needs the permission to
      // write to it.
      if (!(await this.#access.makeAccessible(from, error))) throw error
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
