/** Starts a command as Node.js does on Windows: finds its program, quotes its arguments, completes its environment. */

import type { ConsoleCalls } from './console-break.js'
import type { CreatedProcess, CreateProcess } from './create-process.js'
import { completeEnvironment, type Environment, environmentBlock } from './environment-block.js'
import { findWindowsProgram, isBatchFile } from './find-windows-program.js'
import { commandLineOf } from './quote-arguments.js'
import type { StandardStream, StandardStreamCalls } from './standard-streams.js'
import { systemErrorOf } from './windows-errors.js'
import type { Handle, WindowsLibrary } from './windows-library.js'

// winbase.h, winerror.h, minwindef.h
const FILE_ATTRIBUTE_DIRECTORY = 0x10
const INVALID_FILE_ATTRIBUTES = 0xffff_ffff
const ERROR_FILE_NOT_FOUND = 2
const ERROR_INVALID_PARAMETER = 87
const MAX_PATH = 260

export interface WindowsStart {
  /** A path, or a name to look up. */
  readonly file: string
  /** The first one is the name of the command. */
  readonly args: readonly string[]
  readonly windowsVerbatimArguments: boolean
  readonly windowsHide: boolean
  readonly env: Environment
  /** An absolute path. */
  readonly cwd: string
  /** Standard input, output and error. */
  readonly stdio: readonly StandardStream[]
  /** The job that it is in before its first instruction. */
  readonly job: Handle
}

/** A failure is reported as Node.js does. */
export type StartResult = CreatedProcess | { readonly code: string; readonly errno: number }

/** The caller closes the handle of a started process. */
export type StartProcess = (start: WindowsStart) => StartResult

export function loadStartProcess(
  { declare, closeHandle }: WindowsLibrary,
  { inheritableCopies }: StandardStreamCalls,
  { hasConsole }: Pick<ConsoleCalls, 'hasConsole'>,
  createProcess: CreateProcess
): StartProcess {
  const attributesOf = declare('uint32_t __stdcall GetFileAttributesW(const char16_t *)')
  const needCwd = declare('int __stdcall NeedCurrentDirectoryForExePathW(const char16_t *)')
  const shortPath = declare('uint32_t __stdcall GetShortPathNameW(const char16_t *, void *, uint32_t)')

  // Not by `stat`, which fails for the aliases of Store programs (python.exe, winget.exe).
  const isFile = (path: string): boolean => {
    const attributes = attributesOf(path)
    return attributes !== INVALID_FILE_ATTRIBUTES && (attributes & FILE_ATTRIBUTE_DIRECTORY) === 0
  }
  /** CreateProcessW takes no longer path of a directory than this. */
  const shortened = (folder: string): string => {
    if (folder.length < MAX_PATH) return folder
    const path = Buffer.alloc(2 * MAX_PATH)
    const length = shortPath(folder, path, MAX_PATH)
    return length === 0 || length >= MAX_PATH ? folder : path.toString('utf16le', 0, 2 * length)
  }

  return ({ file, args, windowsVerbatimArguments, windowsHide, env, cwd, stdio, job }) => {
    if (isBatchFile(file)) return systemErrorOf(ERROR_INVALID_PARAMETER)
    const variables = completeEnvironment(env, process.env)
    const search = { file, cwd, path: pathIn(variables), includesCwd: needCwd('') !== 0, isFile }
    const path = findWindowsProgram(search)
    if (path === undefined) return systemErrorOf(ERROR_FILE_NOT_FOUND)
    const copies = inheritableCopies(stdio)
    try {
      const result = createProcess({
        path,
        commandLine: commandLineOf(args, windowsVerbatimArguments),
        environment: environmentBlock(variables),
        cwd: shortened(cwd),
        stdio: copies,
        isHidden: windowsHide,
        sharesConsole: hasConsole(),
        job
      })
      return typeof result === 'number' ? systemErrorOf(result) : result
    } finally {
      for (const copy of copies) closeHandle(copy)
    }
  }
}

function pathIn(variables: readonly (readonly [string, string])[]): string {
  return variables.find(([name]) => name.toUpperCase() === 'PATH')?.[1] ?? ''
}
