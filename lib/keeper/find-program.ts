/** The program of a command, found as execvp(3) does: in the folders of the command's own PATH. */

import { accessSync, existsSync, constants as files, statSync } from 'node:fs'
import { constants } from 'node:os'
import { resolve } from 'node:path'

const { EACCES, ENODEV, ENOENT, ENOEXEC, ENOTDIR, ESTALE, ETIMEDOUT } = constants.errno

// What the libc takes for a PATH that is not set (confstr(3), _CS_PATH).
const defaultPath = '/bin:/usr/bin'
/** What runs a script that does not name its interpreter. */
export const shell = '/bin/sh'

// With these the search goes on in the next folder.
const isNotThere = new Set([ENOENT, ENOTDIR, ENODEV, ESTALE, ETIMEDOUT, EACCES])

export interface ProgramOrder {
  readonly file: string
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string>>
  readonly cwd: string
}

/**
 * Tries to start the program at each path where it may be, by a function that returns the number of a process or, below 0, of
 * an error. Returns the first number of a process, else the error that execvp(3) would give.
 */
export function startFound(
  order: ProgramOrder,
  tryStart: (path: string, args: readonly string[]) => number
): number {
  const { file, args, cwd } = order
  const start = (path: string): number => {
    const result = tryStart(path, args)
    // A script that does not name its interpreter.
    return result === -ENOEXEC ? tryStart(shell, [shell, path, ...args.slice(1)]) : result
  }
  if (file.includes('/')) return start(file)
  const paths = pathsOf(order)
  // To try is to start a process, and to look is not. But only who tries hears why it may not.
  const there = paths.filter((path) => existsSync(resolve(cwd, path)))
  const found = startFirst(there, start)
  return found > 0 || !isNotThere.has(-found) ? found : startFirst(paths, start)
}

/** Where the program is found; undefined where there is none. */
export function findProgram(order: ProgramOrder): string | undefined {
  const { file, cwd } = order
  if (file.includes('/')) return file
  return pathsOf(order).find((path) => isExecutable(resolve(cwd, path)))
}

function pathsOf({ file, env }: ProgramOrder): string[] {
  return (env.PATH ?? defaultPath).split(':').map((folder) => `${folder || '.'}/${file}`)
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, files.X_OK)
    // A folder may be entered, not run.
    return statSync(path).isFile()
  } catch {
    return false
  }
}

function startFirst(paths: readonly string[], start: (path: string) => number): number {
  let isDenied = false
  let last = -ENOENT
  for (const path of paths) {
    last = start(path)
    if (!isNotThere.has(-last)) return last
    if (last === -EACCES) isDenied = true
  }
  return isDenied ? -EACCES : last
}
