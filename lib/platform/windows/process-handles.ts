/** A process by its handle: whether it runs, how it ended, what it is, and its end. */

import type { Handle, WindowsLibrary } from './windows-library.js'

// winnt.h
const PROCESS_TERMINATE = 0x0001
const PROCESS_SET_QUOTA = 0x0100
const PROCESS_QUERY_LIMITED_INFORMATION = 0x1000
const SYNCHRONIZE = 0x100000
const WAIT_TIMEOUT = 258
const ProcessCommandLineInformation = 60
const maxPath = 32_768

export interface ProcessHandleCalls {
  /**
   * Opens a process to wait for it and to read its times. With `toEnd`, also to end it or to add it to a job.
   * Undefined if there is no such process, or if this user may not open it.
   */
  openProcess(pid: number, toEnd?: boolean): Handle | undefined
  /** When it was created, in ms since 1970. With its pid, this identifies it. Undefined if that is hidden. */
  createdAt(process: Handle): number | undefined
  hasEnded(process: Handle): boolean
  /** The exit code of a process that has ended. */
  exitCodeOf(process: Handle): number
  /** Ends this one process. Returns false if it has ended already, or if this user may not end it. */
  terminate(process: Handle, exitCode: number): boolean
  /** The path of its program. Undefined if that is hidden. */
  programOf(process: Handle): string | undefined
  /** Its command line. Undefined if the system does not tell (before Windows 8.1, and under Wine). */
  commandLineOfProcess(process: Handle): string | undefined
  closeHandle(handle: Handle): void
}

export function loadProcessHandleCalls(library: WindowsLibrary): ProcessHandleCalls {
  const { declare, declareIn, check, closeHandle, pointerBytes } = library
  const open = declare('intptr_t __stdcall OpenProcess(uint32_t, int, uint32_t)')
  const times = declare('int __stdcall GetProcessTimes(intptr_t, void *, void *, void *, void *)')
  const wait = declare('uint32_t __stdcall WaitForSingleObject(intptr_t, uint32_t)')
  const exitCode = declare('int __stdcall GetExitCodeProcess(intptr_t, void *)')
  const terminateProcess = declare('int __stdcall TerminateProcess(intptr_t, uint32_t)')
  const imageName = declare(
    'int __stdcall QueryFullProcessImageNameW(intptr_t, uint32_t, void *, _Inout_ uint32_t *)'
  )
  const information = declareIn(
    'ntdll.dll',
    'int32_t __stdcall NtQueryInformationProcess(intptr_t, int, void *, uint32_t, void *)'
  )
  const number = Buffer.alloc(4)
  const [creation, exit, kernel, user] = [0, 1, 2, 3].map(() => Buffer.alloc(8)) as [Buffer, ...Buffer[]]

  return {
    openProcess(pid, toEnd = false) {
      const access = SYNCHRONIZE | PROCESS_QUERY_LIMITED_INFORMATION
      return open(toEnd ? access | PROCESS_TERMINATE | PROCESS_SET_QUOTA : access, 0, pid) || undefined
    },
    createdAt: (process) =>
      times(process, creation, exit, kernel, user) === 0 ? undefined : msOfFileTime(creation, 0),
    hasEnded: (process) => wait(process, 0) !== WAIT_TIMEOUT,
    exitCodeOf(process) {
      check('GetExitCodeProcess', exitCode(process, number))
      return number.readUInt32LE()
    },
    terminate: (process, code) => terminateProcess(process, code) !== 0,
    programOf(process) {
      const path = Buffer.alloc(2 * maxPath)
      const length = [maxPath]
      if (imageName(process, 0, path, length) === 0) return undefined
      return path.toString('utf16le', 0, 2 * (length[0] as number))
    },
    commandLineOfProcess(process) {
      // A UNICODE_STRING and the text that it points to.
      const text = Buffer.alloc(2 * pointerBytes + 2 * maxPath)
      if (information(process, ProcessCommandLineInformation, text, text.length, null) < 0) return undefined
      const start = 2 * pointerBytes
      return text.toString('utf16le', start, start + text.readUInt16LE())
    },
    closeHandle
  }
}

/** A FILETIME (100 ns since 1601) in ms since 1970. */
export function msOfFileTime(bytes: Buffer, at: number): number {
  return Number(bytes.readBigInt64LE(at) / 10_000n) - 11_644_473_600_000
}
