/** Finds the program of a command on Windows without native calls: a worker has none. */

import { lstatSync, type Stats, statSync } from 'node:fs'
import { resolve } from 'node:path'
import type { ProgramToFind } from '../platform.js'
import { findWindowsProgram } from './find-windows-program.js'

/** See `Platform.findProgram`. */
export function findProgram(program: ProgramToFind): string | undefined {
  // As NeedCurrentDirectoryForExePathW decides.
  const includesCwd = process.env.NoDefaultCurrentDirectoryInExePath === undefined
  const found = findWindowsProgram({ ...program, includesCwd, isFile })
  return found === undefined ? undefined : resolve(found)
}

function isFile(path: string): boolean {
  // `stat` fails for the aliases of Store programs (python.exe, winget.exe).
  const stats = statsBy(statSync, path) ?? statsBy(lstatSync, path)
  return stats !== undefined && !stats.isDirectory()
}

function statsBy(read: (path: string) => Stats, path: string): Stats | undefined {
  try {
    return read(path)
  } catch {
    return undefined
  }
}
