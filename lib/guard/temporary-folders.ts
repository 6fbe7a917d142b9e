/** The folders of one scope: those that its user asks for, and those for the temporary files of its commands. */

import { chmodSync, chownSync, mkdirSync, mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import type { KeeperLink } from '../link/keeper-link.js'
import type { Logger } from '../log.js'
import { otherUsersFolder, scopeFolderPrefix } from '../wire/folder-names.js'
import type { ScopeFolder } from '../wire/messages.js'

// What programs look for their folder in (tempnam(3), Python's tempfile, os.tmpdir()).
const variables = ['TMPDIR', 'TMP', 'TEMP']

/** What of a command decides which folder it gets. */
export interface TemporaryFilesOf {
  readonly env?: NodeJS.ProcessEnv | null | undefined
  readonly uid?: number | null | undefined
  readonly gid?: number | null | undefined
}

export class TemporaryFolders {
  readonly #link: () => KeeperLink
  readonly #scope: number
  readonly #log: Logger
  readonly #folders: ScopeFolder[] = []
  /** For the commands of each user; undefined where none could be made. */
  readonly #byUser = new Map<number | undefined, string | undefined>()

  /** `link` is that of the keeper which is to remove what is made now. */
  constructor(link: () => KeeperLink, scope: number, log: Logger) {
    this.#link = link
    this.#scope = scope
    this.#log = log
  }

  /** Makes a folder that goes with the scope. Throws an `Error` with the code of `mkdtemp`. */
  make(): string {
    return this.#add(undefined)
  }

  /**
   * The variables that lead a command to a folder of its scope's own, which is made when it is first asked for. A variable that
   * the command's environment sets to another value than the worker's stays. Without a folder there are none.
   */
  variablesFor({ env, uid, gid }: TemporaryFilesOf): Record<string, string> | undefined {
    const free = variables.filter((name) => env?.[name] === undefined || env[name] === process.env[name])
    if (free.length === 0) return undefined
    const path = this.#folderFor(uid ?? undefined, gid ?? undefined)
    return path === undefined ? undefined : Object.fromEntries(free.map((name) => [name, path]))
  }

  /** Those that go with the scope: what was released keeps its TMPDIR. */
  ending(hasReleased: boolean): ScopeFolder[] {
    return this.#folders.filter(({ user }) => user === undefined || !hasReleased)
  }

  #folderFor(uid: number | undefined, gid: number | undefined): string | undefined {
    const own = process.geteuid?.()
    const user = uid ?? own
    if (this.#byUser.has(user)) return this.#byUser.get(user)
    let path: string | undefined
    try {
      path = user === undefined || user === own ? this.#add(user) : this.#addFor(user, gid)
    } catch (err) {
      const message = 'a command keeps the TMPDIR of the worker: there is none of its own for it'
      this.#log.error({ err, uid }, message)
    }
    this.#byUser.set(user, path)
    return path
  }

  /** Of another user, in one of ours: that user can neither move it nor put a link in its place. */
  #addFor(user: number, gid: number | undefined): string {
    const outer = this.#add(user)
    const path = join(outer, otherUsersFolder)
    mkdirSync(path, { mode: 0o700 })
    chownSync(path, user, gid ?? (process.getegid?.() as number))
    chmodSync(outer, 0o711)
    return path
  }

  #add(user: number | undefined): string {
    const link = this.#link()
    const name = scopeFolderPrefix(link.workerMark, this.#scope)
    let path: string
    try {
      // TMPDIR may be relative, and the keeper is in another folder.
      path = mkdtempSync(resolve(tmpdir(), name))
    } catch (error) {
      const { code, errno, syscall, message } = error as NodeJS.ErrnoException
      const said = `no folder for temporary files in ${tmpdir()} (${message}); set TMPDIR to a writable one`
      throw Object.assign(new Error(said, { cause: error }), { code, errno, syscall, path: tmpdir() })
    }
    const folder = { path, user }
    this.#folders.push(folder)
    link.addFolder(this.#scope, folder)
    return path
  }
}
