/**
 * Finds the program of a command as Node.js does on Windows. Only `.com` and `.exe` files are found without
 * their extension: what PATHEXT adds (`npm` for `npm.cmd`) is found by a shell alone.
 */

export interface ProgramSearch {
  readonly file: string
  readonly cwd: string
  /** The PATH of the command's own environment. */
  readonly path: string
  /** Whether a name without a directory is looked up in `cwd` first. */
  readonly includesCwd: boolean
  readonly isFile: (path: string) => boolean
}

/** The path of the program, or undefined if there is none. */
export function findWindowsProgram(search: ProgramSearch): string | undefined {
  const { file, path, includesCwd } = search
  if (file === '' || file === '.') return undefined
  const [, folder = '', name = ''] = /^(.*[\\/:])?([^\\/:]*)$/s.exec(file) ?? []
  if (folder !== '') return findIn(folder, name, search)
  for (const each of [...(includesCwd ? [''] : []), ...foldersOf(path)]) {
    const found = findIn(each, name, search)
    if (found !== undefined) return found
  }
  return undefined
}

/**
 * Whether the name is that of a batch file. The system runs it by `cmd.exe`, which reads the arguments by rules
 * of its own, so that an argument can start another program (CVE-2024-27980). Node.js refuses such a file
 * without a shell (EINVAL). Windows ignores dots and blanks at the end of a name.
 */
export function isBatchFile(file: string): boolean {
  return /\.(?:bat|cmd)[.\s]*$/i.test(file)
}

function findIn(folder: string, name: string, { cwd, isFile }: ProgramSearch): string | undefined {
  const base = `${withSeparator(locate(folder, cwd))}${name}`
  const withDot = name.endsWith('.') ? base : `${base}.`
  const hasExtension = /\../s.test(name)
  const candidates = [...(hasExtension ? [base] : []), `${withDot}com`, `${withDot}exe`]
  return candidates.find(isFile)
}

/** Resolves a directory from `cwd`. */
function locate(folder: string, cwd: string): string {
  const isShare = /^[\\/]{2}./s.test(folder)
  if (isShare || /^.:[\\/]/s.test(folder)) return folder
  // Relative to the drive of `cwd`.
  if (/^[\\/]/.test(folder)) return cwd.slice(0, 2) + folder
  if (/^.:/s.test(folder)) {
    // Relative to the current directory of a drive, which is known for the drive of `cwd` alone.
    const isSameDrive = folder.slice(0, 2).toLowerCase() === cwd.slice(0, 2).toLowerCase()
    return isSameDrive ? withSeparator(cwd) + folder.slice(2) : folder
  }
  return withSeparator(cwd) + folder
}

function withSeparator(folder: string): string {
  return folder === '' || /[\\/:]$/.test(folder) ? folder : `${folder}\\`
}

/** The directories of a PATH. A quoted one may contain semicolons. */
function foldersOf(path: string): string[] {
  const folders = path.match(/"[^"]*(?:"[^;]*)?|'[^']*(?:'[^;]*)?|[^;]+/g) ?? []
  return folders.map((folder) => folder.replace(/^["']|["']$/g, '')).filter((folder) => folder !== '')
}
