/** Finds the program of a command in the directories of a PATH, as execvp(3) does. */

import { existsSync } from 'node:fs'
import { isAbsolute } from 'node:path'
import type { ProgramToFind } from '../platform.js'
import { candidatePaths, isExecutable } from '../program-paths.js'

/** See `Platform.findProgram`. */
export function findProgram({ file, cwd, path }: ProgramToFind): string | undefined {
  if (file.includes('/')) return absolute(file, cwd)
  const candidates = candidatePaths(file, path).map((candidate) => absolute(candidate, cwd))
  return candidates.find(isExecutable) ?? candidates.find((candidate) => existsSync(candidate))
}

/** Not normalized: `..` leads elsewhere behind a symbolic link. */
function absolute(path: string, cwd: string): string {
  return isAbsolute(path) ? path : `${cwd}/${path}`
}
