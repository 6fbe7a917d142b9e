/** The temporary directories of one scope: those of `tempDir()`, and the private TMPDIR of its commands. */

import { chmodSync, chownSync, mkdirSync, mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import type { KeeperLink } from '../link/keeper-link.js'
import type { Logger } from '../log.js'
import { otherUsersFolder, scopeFolderPrefix } from '../wire/folder-names.js'
import type { ScopeFolder } from '../wire/messages.js'

// Programs find their directory for temporary files by these (tempnam(3), Python's tempfile, os.tmpdir()).
const variables = ['TMPDIR', 'TMP', 'TEMP']

/** The options of a command that decide which private TMPDIR it gets. */
export interface PrivateTmpCommand {
  readonly env?: NodeJS.ProcessEnv | null | undefined
  readonly uid?: number | null | undefined
  readonly gid?: number | null | undefined
}

/** The keeper that removes a directory, and the number of the scope there. */
interface RemovingKeeper {
  readonly link: KeeperLink
  readonly keeperScope: number
}

export class TemporaryFolders {
  readonly #keeperNow: () => RemovingKeeper
  readonly #log: Logger
  readonly #folders: ScopeFolder[] = []
  /** The private TMPDIR by user; undefined if it could not be created. */
  readonly #byUser = new Map<number | undefined, string | undefined>()

  /** `keeperNow` returns the keeper for a directory that is created now. */
  constructor(keeperNow: () => RemovingKeeper, log: Logger) {
    this.#keeperNow = keeperNow
    this.#log = log
  }

  /** Creates a directory that is removed with the scope. Throws an `Error` with the code of `mkdtemp`. */
  create(): string {
    return this.#create(undefined)
  }

  /**
   * The environment variables that point a command to the private TMPDIR of its scope, which is created on
   * first use. A variable that the command's own environment sets to another value than the worker's is left
   * out. Undefined if all are left out, or if the directory cannot be created.
   */
  variablesFor({ env, uid, gid }: PrivateTmpCommand): Record<string, string> | undefined {
    const unset = variables.filter((name) => env?.[name] === undefined || env[name] === process.env[name])
    if (unset.length === 0) return undefined
    const path = this.#privateTmpOf(uid ?? undefined, gid ?? undefined)
    return path === undefined ? undefined : Object.fromEntries(unset.map((name) => [name, path]))
  }

  /** The directories to remove with the scope. A released command keeps its TMPDIR. */
  removedWithScope(hasReleased: boolean): ScopeFolder[] {
    return this.#folders.filter(({ user }) => user === undefined || !hasReleased)
  }

  #privateTmpOf(uid: number | undefined, gid: number | undefined): string | undefined {
    // On Windows, users have no numbers.
    const own = process.geteuid?.() ?? 0
    const user = uid ?? own
    if (this.#byUser.has(user)) return this.#byUser.get(user)
    let path: string | undefined
    try {
      path = user === undefined || user === own ? this.#create(user) : this.#createForOther(user, gid)
    } catch (err) {
      const message = "a command got no private TMPDIR and uses the worker's"
      this.#log.error({ err, uid }, message)
    }
    this.#byUser.set(user, path)
    return path
  }

  /** Inside a directory of ours, so that the other user cannot move it or replace it by a symbolic link. */
  #createForOther(user: number, gid: number | undefined): string {
    const outer = this.#create(user)
    const path = join(outer, otherUsersFolder)
    mkdirSync(path, { mode: 0o700 })
    chownSync(path, user, gid ?? (process.getegid?.() as number))
    chmodSync(outer, 0o711)
    return path
  }

  #create(user: number | undefined): string {
    const { link, keeperScope } = this.#keeperNow()
    const prefix = scopeFolderPrefix(link.workerMark, keeperScope)
    let path: string
    try {
      // Absolute: TMPDIR may be relative, and the keeper has another working directory.
      path = mkdtempSync(resolve(tmpdir(), prefix))
    } catch (error) {
      const { code, errno, syscall, message } = error as NodeJS.ErrnoException
      const what = `cannot create a temporary directory in ${tmpdir()} (${message})`
      const explained = new Error(`${what}; set TMPDIR to a writable directory`, { cause: error })
      throw Object.assign(explained, { code, errno, syscall, path: tmpdir() })
    }
    const folder = { path, user }
    this.#folders.push(folder)
    link.addFolder(keeperScope, folder)
    return path
  }
}
