/** Finds the program of a command as execvp(3) does: in the directories of the command's own PATH. */

import { existsSync } from 'node:fs'
import { constants } from 'node:os'
import { resolve } from 'node:path'
import { candidatePaths, isExecutable, platform } from '../platform/current.js'

const { EACCES, ENODEV, ENOENT, ENOEXEC, ENOTDIR, ESTALE, ETIMEDOUT } = constants.errno

/** Runs a script that has no `#!` line. */
export const shell = '/bin/sh'

// After these errors the search continues in the next directory.
const notFoundErrors = new Set([ENOENT, ENOTDIR, ENODEV, ESTALE, ETIMEDOUT, EACCES])

export interface ProgramRequest {
  readonly file: string
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string>>
  readonly cwd: string
}

/**
 * Starts the program: calls `tryStart` for each path where it may be, until one is started. `tryStart`
 * returns a pid, or a negative errno. Returns the pid, or the negative errno that execvp(3) would give.
 */
export function startProgram(
  request: ProgramRequest,
  tryStart: (path: string, args: readonly string[]) => number
): number {
  const { file, args, cwd } = request
  const start = (path: string): number => {
    const result = tryStart(path, args)
    // A script without a `#!` line.
    return result === -ENOEXEC ? tryStart(shell, [shell, path, ...args.slice(1)]) : result
  }
  if (file.includes('/')) return start(file)
  const paths = searchedPaths(request)
  // Each try starts a process, so first try only the files that exist. If none of them can be started, try
  // all paths: only a try yields the right error.
  const result = startFirst(existingOf(paths, cwd), start)
  return result > 0 || !notFoundErrors.has(-result) ? result : startFirst(paths, start)
}

/** The path of the program, or undefined when it is not found. */
export function findProgram(request: ProgramRequest): string | undefined {
  const { file, cwd } = request
  if (file.includes('/')) return file
  return searchedPaths(request).find((path) => isExecutable(resolve(cwd, path)))
}

function searchedPaths({ file, env }: ProgramRequest): string[] {
  return candidatePaths(file, env.PATH ?? platform.defaultPath())
}

/** Checks a path only when it is asked for: most programs start at the first that exists. */
function* existingOf(paths: readonly string[], cwd: string): Generator<string> {
  for (const path of paths) if (existsSync(resolve(cwd, path))) yield path
}

function startFirst(paths: Iterable<string>, start: (path: string) => number): number {
  let isDenied = false
  let last = -ENOENT
  for (const path of paths) {
    last = start(path)
    if (!notFoundErrors.has(-last)) return last
    if (last === -EACCES) isDenied = true
  }
  return isDenied ? -EACCES : last
}
