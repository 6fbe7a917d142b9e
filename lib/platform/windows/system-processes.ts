/** All processes of the system, with times, parents and memory: one call, which opens no process. */

import { msOfFileTime } from './process-handles.js'
import type { WindowsLibrary } from './windows-library.js'

// winternl.h, ntstatus.h
const SystemProcessInformation = 5
const STATUS_INFO_LENGTH_MISMATCH = -0x3fff_fffc // 0xC0000004

/** A process as the system lists it. Its pid and its creation time together identify it. */
export interface WindowsProcess {
  readonly pid: number
  /** The pid of the process that created it. That one may have ended, and its pid may be in use again. */
  readonly parent: number
  /** The file name of its program. */
  readonly name: string
  /** 0 for a process that has ended and is still held by a handle. */
  readonly threads: number
  readonly session: number
  /** In ms since 1970. */
  readonly createdAt: number
  readonly cpuMs: number
  readonly memoryBytes: number
}

/** Lists all processes, those of other users too. */
export type ListProcesses = () => WindowsProcess[]

export function loadListProcesses({
  declareIn,
  koffi,
  pointerBytes,
  readPointer
}: WindowsLibrary): ListProcesses {
  // There is no fifth argument, but Wine 10 reads its place on the stack, and koffi's stack ends there. Where
  // the called function frees its arguments (32 bits), another one would do harm.
  const placeholder = pointerBytes === 8 ? ', intptr_t' : ''
  const query = declareIn(
    'ntdll.dll',
    `int32_t __stdcall NtQuerySystemInformation(int, void *, uint32_t, _Out_ uint32_t *${placeholder})`
  )
  const unused = pointerBytes === 8 ? [0] : []
  let buffer = Buffer.allocUnsafeSlow(65_536)

  // SYSTEM_PROCESS_INFORMATION: from `ImageName` on, the fields have the size of a pointer.
  const fieldsAt = 56
  const field = (index: number): number => fieldsAt + index * pointerBytes

  const nameIn = (at: number): string => {
    const length = buffer.readUInt16LE(at + fieldsAt)
    if (length === 0) return ''
    // The name is behind the structure, in the same buffer.
    const start = readPointer(buffer, at + field(1)) - Number(koffi.address(buffer))
    return buffer.toString('utf16le', start, start + length)
  }
  const processAt = (at: number): WindowsProcess => {
    const cpu = buffer.readBigInt64LE(at + 40) + buffer.readBigInt64LE(at + 48)
    return {
      threads: buffer.readUInt32LE(at + 4),
      createdAt: msOfFileTime(buffer, at + 32),
      cpuMs: Number(cpu) / 10_000,
      name: nameIn(at),
      pid: buffer.readUInt32LE(at + field(3)),
      parent: buffer.readUInt32LE(at + field(4)),
      session: buffer.readUInt32LE(at + field(5) + 4),
      memoryBytes: readPointer(buffer, at + 64 + 10 * pointerBytes)
    }
  }

  return () => {
    const needed = [0]
    let status = query(SystemProcessInformation, buffer, buffer.length, needed, ...unused)
    while (status === STATUS_INFO_LENGTH_MISMATCH) {
      // With room for processes that start meanwhile.
      buffer = Buffer.allocUnsafeSlow(Math.max(2 * buffer.length, (needed[0] as number) + 16_384))
      status = query(SystemProcessInformation, buffer, buffer.length, needed, ...unused)
    }
    if (status < 0) throw new Error(`NtQuerySystemInformation: 0x${(status >>> 0).toString(16)}`)
    const processes: WindowsProcess[] = []
    let at = 0
    for (let next = -1; next !== 0; at += next) {
      processes.push(processAt(at))
      next = buffer.readUInt32LE(at)
    }
    return processes
  }
}
