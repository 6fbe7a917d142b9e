/** Where a program may be, as execvp(3) sees it: in the directories of the command's own PATH. */

import { accessSync, constants, statSync } from 'node:fs'
import { resolve } from 'node:path'

/** The paths at which a name without a slash is searched, in order. */
export function candidatePaths(file: string, path: string): string[] {
  return path.split(':').map((folder) => `${folder || '.'}/${file}`)
}

/** Whether this process may run the file. */
export function isExecutable(path: string): boolean {
  return whyNotExecutable(path) === undefined
}

/**
 * The first of these paths that can be run, or the error code that execvp(3) gives if there is none. They are
 * relative to `cwd`.
 */
export function firstExecutable(
  paths: readonly string[],
  cwd: string
): { readonly path: string } | { readonly code: 'ENOENT' | 'EACCES' } {
  let code: 'ENOENT' | 'EACCES' = 'ENOENT'
  for (const path of paths) {
    const why = whyNotExecutable(resolve(cwd, path))
    if (why === undefined) return { path }
    if (why === 'EACCES') code = why
  }
  return { code }
}

function whyNotExecutable(path: string): 'ENOENT' | 'EACCES' | undefined {
  try {
    // Most directories of a PATH do not have it: an exception for each would take most of the time.
    const stat = statSync(path, { throwIfNoEntry: false })
    if (stat === undefined) return 'ENOENT'
    // A directory with X_OK can be entered, not run.
    if (!stat.isFile()) return 'EACCES'
    accessSync(path, constants.X_OK)
    return undefined
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EACCES' ? 'EACCES' : 'ENOENT'
  }
}
