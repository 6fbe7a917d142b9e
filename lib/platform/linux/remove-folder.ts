/**
 * Removes a folder with all that is in it. Another user may own what is in it, or write to it: so each step starts from an open
 * folder and not from a path, in which a link could be put meanwhile. Each folder found is moved to the top first, so that depth
 * costs neither descriptors nor stack.
 */

import { randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import { chmod, type FileHandle, open, readdir, rename, rmdir, unlink } from 'node:fs/promises'
import { join } from 'node:path'

const openFlags = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW
// Of open(2); Node has no name for it. The right to read is not needed.
const O_PATH = 0o10000000
// Each has two descriptors, and a thousand scopes may close at once.
const mostAtOnce = 8
const unlinksAtOnce = 16
// What still writes there adds to it meanwhile.
const mostRounds = 3

let running = 0
const waiting: (() => void)[] = []

/** Resolves when it is gone, or never was. Rejects with what stands in the way, after all else is gone. */
export async function removeFolder(path: string): Promise<void> {
  if (running >= mostAtOnce) await new Promise<void>((resolve) => waiting.push(resolve))
  else running++
  try {
    await new Removal(path).run()
  } finally {
    const next = waiting.shift()
    if (next === undefined) running--
    else next()
  }
}

interface Found {
  /** The name in the top folder. */
  readonly name: string
  /** Where it was, for people. */
  readonly shown: string
}

class Removal {
  readonly #path: string
  // No name of anybody's.
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
        await this.#round()
        return
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException
        if (code === 'ENOENT') return
        if (code !== 'ENOTEMPTY' || this.#failure !== undefined || round === mostRounds) {
          throw this.#failure ?? error
        }
      }
    }
  }

  async #round(): Promise<void> {
    const top = await openFolder(this.#path)
    if (top === undefined) {
      await unlink(this.#path)
      return
    }
    try {
      const found = await this.#emptied(top, top, this.#path)
      for (let one = found.pop(); one !== undefined; one = found.pop()) {
        for (const below of await this.#removed(top, one)) found.push(below)
      }
    } finally {
      await top.close()
    }
    await rmdir(this.#path)
  }

  /** Removes a folder of the top folder, and returns those that were in it. */
  async #removed(top: FileHandle, { name, shown }: Found): Promise<Found[]> {
    const path = join(pathOf(top), name)
    let found: Found[] = []
    try {
      const folder = await openFolder(path)
      if (folder === undefined) {
        await unlink(path)
        return []
      }
      try {
        found = await this.#emptied(folder, top, shown)
      } finally {
        await folder.close()
      }
      await rmdir(path)
    } catch (error) {
      this.#note(error as NodeJS.ErrnoException, shown)
    }
    return found
  }

  /** Removes what is in a folder, and moves the folders among that to the top, which it returns. */
  async #emptied(folder: FileHandle, top: FileHandle, shownFolder: string): Promise<Found[]> {
    const found: Found[] = []
    const files: string[] = []
    for (const entry of await readdir(pathOf(folder), { withFileTypes: true })) {
      if (!entry.isDirectory()) {
        files.push(entry.name)
        continue
      }
      const shown = join(shownFolder, entry.name)
      try {
        const name = folder === top ? entry.name : await this.#toTop(folder, top, entry.name)
        found.push({ name, shown })
      } catch (error) {
        this.#note(error as NodeJS.ErrnoException, shown)
      }
    }
    for (let first = 0; first < files.length; first += unlinksAtOnce) {
      await Promise.all(
        files.slice(first, first + unlinksAtOnce).map(async (name) => {
          try {
            await unlink(join(pathOf(folder), name))
          } catch (error) {
            this.#note(error as NodeJS.ErrnoException, join(shownFolder, name))
          }
        })
      )
    }
    return found
  }

  async #toTop(folder: FileHandle, top: FileHandle, name: string): Promise<string> {
    const from = join(pathOf(folder), name)
    const moved = `${this.#prefix}${++this.#moved}`
    const to = join(pathOf(top), moved)
    try {
      await rename(from, to)
    } catch (error) {
      // What is moved gets another parent, and that is written down in it.
      if (!(await isMadeAccessible(from, error))) throw error
      await rename(from, to)
    }
    return moved
  }

  /** The first thing that stands in the way is named. */
  #note(error: NodeJS.ErrnoException, shown: string): void {
    if (error.code === 'ENOENT' || error.code === 'ENOTEMPTY') return
    const { code, errno, syscall } = error
    const message = `${error.message.split(',')[0]}, ${syscall} '${shown}'`
    this.#failure ??= Object.assign(new Error(message), { code, errno, syscall, path: shown })
  }
}

/** With all rights that its owner can have. Undefined for what is no folder. */
async function openFolder(path: string): Promise<FileHandle | undefined> {
  let folder: FileHandle
  try {
    folder = await open(path, openFlags)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    // A link, or another file.
    if (code === 'ELOOP' || code === 'ENOTDIR') return undefined
    if (!(await isMadeAccessible(path, error))) throw error
    folder = await open(path, openFlags)
  }
  try {
    const { mode } = await folder.stat()
    if ((mode & 0o700) !== 0o700) await folder.chmod(0o700)
  } catch {
    // Of another user. Whether that matters is seen at the next step.
  }
  return folder
}

/** After an error that may come of it: gives the owner of a folder, such as one of mode 000, all rights to it. */
async function isMadeAccessible(path: string, error: unknown): Promise<boolean> {
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
    // It is another user's, or no folder.
    return false
  }
}

/** What leads to an open folder and nowhere else (proc_pid_fd(5)). */
function pathOf({ fd }: FileHandle): string {
  return `/proc/self/fd/${fd}`
}
