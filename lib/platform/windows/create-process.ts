/** CreateProcessW: a process that is in its job before its first instruction, and inherits three handles only. */

import type { JobCalls } from './job-objects.js'
import type { Handle, WindowsLibrary } from './windows-library.js'

// winbase.h
const CREATE_SUSPENDED = 0x4
const CREATE_NEW_PROCESS_GROUP = 0x200
const CREATE_UNICODE_ENVIRONMENT = 0x400
const EXTENDED_STARTUPINFO_PRESENT = 0x8_0000
const CREATE_NO_WINDOW = 0x800_0000
const STARTF_USESHOWWINDOW = 0x1
const STARTF_USESTDHANDLES = 0x100
const PROC_THREAD_ATTRIBUTE_HANDLE_LIST = 0x2_0002
const PROC_THREAD_ATTRIBUTE_JOB_LIST = 0x2_000d
// winuser.h
const SW_HIDE = 0
const SW_SHOWDEFAULT = 10

export interface ProcessCreation {
  /** The path of the program. */
  readonly path: string
  readonly commandLine: string
  readonly environment: Buffer
  readonly cwd: string
  /** Three handles, all different, that can be inherited. */
  readonly stdio: readonly Handle[]
  readonly isHidden: boolean
  /** Whether it shares the console of this process. If not, it has a console of its own, without a window. */
  readonly sharesConsole: boolean
  readonly job: Handle
}

/** A process, held by its handle: its pid is not used again before the handle is closed. */
export interface CreatedProcess {
  readonly pid: number
  readonly process: Handle
}

/** Returns an error number of Windows if the process cannot be created. */
export type CreateProcess = (creation: ProcessCreation) => CreatedProcess | number

/**
 * `startsInJob`: whether the system can create a process in a job (Windows 10 and later). If not, the process is
 * created suspended and put into its job before it runs.
 */
export function loadCreateProcess(
  library: WindowsLibrary,
  { assignToJob }: Pick<JobCalls, 'assignToJob'>,
  startsInJob = true
): CreateProcess {
  const { declare, lastError, closeHandle, koffi, pointerBytes, writePointer, readPointer } = library
  const create = declare(
    'int __stdcall CreateProcessW(const char16_t *, const char16_t *, void *, void *, int, uint32_t, void *, const char16_t *, void *, void *)'
  )
  const initialize = declare(
    'int __stdcall InitializeProcThreadAttributeList(void *, uint32_t, uint32_t, _Inout_ size_t *)'
  )
  const update = declare(
    'int __stdcall UpdateProcThreadAttribute(void *, uint32_t, size_t, void *, size_t, void *, void *)'
  )
  const resume = declare('uint32_t __stdcall ResumeThread(intptr_t)')
  const terminate = declare('int __stdcall TerminateProcess(intptr_t, uint32_t)')

  const layout = library.struct({
    cb: 'uint32_t',
    names: 'void *[3]',
    place: 'uint32_t [7]',
    flags: 'uint32_t',
    showWindow: 'uint16_t',
    reservedBytes: 'uint16_t',
    reserved: 'void *',
    stdio: 'void *[3]',
    attributes: 'void *'
  })
  const at = (member: string): number => koffi.offsetof(layout, member)
  // Kept for all starts: a start is synchronous.
  const startup = Buffer.alloc(layout.size) // STARTUPINFOEXW
  const created = Buffer.alloc(2 * pointerBytes + 8) // PROCESS_INFORMATION
  const stdioList = Buffer.alloc(3 * pointerBytes)
  const jobList = Buffer.alloc(pointerBytes)
  const listBytes = [0]
  initialize(null, 2, 0, listBytes)
  const attributes = Buffer.alloc(listBytes[0] as number)
  startup.writeUInt32LE(startup.length, at('cb'))
  startup.writeUInt32LE(STARTF_USESTDHANDLES | STARTF_USESHOWWINDOW, at('flags'))
  writePointer(startup, at('attributes'), koffi.address(attributes))

  /** Puts the process into its job and lets it run. Returns 0 or an error number. */
  const runInJob = (process: Handle, thread: Handle, job: Handle): number => {
    try {
      assignToJob(job, process)
      if (resume(thread) !== 0xffff_ffff) return 0
    } catch {
      // The error number is still that of the call.
    }
    const error = lastError()
    terminate(process, 1)
    closeHandle(process)
    return error
  }

  return ({ path, commandLine, environment, cwd, stdio, isHidden, sharesConsole, job }) => {
    for (const [index, handle] of stdio.entries()) {
      writePointer(startup, at('stdio') + index * pointerBytes, handle)
      writePointer(stdioList, index * pointerBytes, handle)
    }
    writePointer(jobList, 0, job)
    startup.writeUInt16LE(isHidden ? SW_HIDE : SW_SHOWDEFAULT, at('showWindow'))
    const setAttribute = (attribute: number, value: Buffer): boolean =>
      update(attributes, 0, attribute, value, value.length, null, null) !== 0
    initialize(attributes, 2, 0, [attributes.length])
    if (!setAttribute(PROC_THREAD_ATTRIBUTE_HANDLE_LIST, stdioList)) return lastError()
    const isInJob = startsInJob && setAttribute(PROC_THREAD_ATTRIBUTE_JOB_LIST, jobList)
    const flags =
      CREATE_UNICODE_ENVIRONMENT |
      EXTENDED_STARTUPINFO_PRESENT |
      // For Ctrl-Break, which goes to a group.
      CREATE_NEW_PROCESS_GROUP |
      (sharesConsole ? 0 : CREATE_NO_WINDOW) |
      (isInJob ? 0 : CREATE_SUSPENDED)
    if (create(path, commandLine, null, null, 1, flags, environment, cwd, startup, created) === 0) {
      return lastError()
    }
    const process = readPointer(created, 0)
    const thread = readPointer(created, pointerBytes)
    const error = isInJob ? 0 : runInJob(process, thread, job)
    closeHandle(thread)
    return error === 0 ? { pid: created.readUInt32LE(2 * pointerBytes), process } : error
  }
}
