/** Finds the program of a command in the directories of a PATH, as execvp(3) does. */

import { accessSync, constants, existsSync, statSync } from 'node:fs'
import { isAbsolute } from 'node:path'
import type { ProgramToFind } from '../platform.js'

/** See `Platform.findProgram`. */
export function findProgram({ file, cwd, path }: ProgramToFind): string | undefined {
  if (file.includes('/')) return absolute(file, cwd)
  const candidates = path.split(':').map((folder) => absolute(`${folder || '.'}/${file}`, cwd))
  return candidates.find(isExecutable) ?? candidates.find((candidate) => existsSync(candidate))
}

/** Not normalized: `..` leads elsewhere behind a symbolic link. */
function absolute(path: string, cwd: string): string {
  return isAbsolute(path) ? path : `${cwd}/${path}`
}

function isExecutable(path: string): boolean {
  // Cheaper than `accessSync`, which throws for each directory of a PATH that lacks the program.
  if (!existsSync(path)) return false
  try {
    accessSync(path, constants.X_OK)
    // A directory with X_OK can be entered, not run.
    return statSync(path).isFile()
  } catch {
    return false
  }
}
