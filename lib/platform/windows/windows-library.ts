/** The system libraries of Windows, loaded by `koffi`, an optional dependency. */

import type { KoffiFunc, LibraryHandle, TypeObject } from 'koffi'
import { systemError } from './windows-errors.js'

/** A handle of this process. It names one kernel object until it is closed, whatever becomes of its pid. */
export type Handle = number

type Koffi = typeof import('koffi').default
type Declared = KoffiFunc<(...args: unknown[]) => number>

export interface WindowsLibrary {
  readonly koffi: Koffi
  readonly pointerBytes: number
  /** Declares a function of kernel32.dll, in the syntax of C. */
  declare(signature: string): Declared
  /** Declares a function of another library, which is loaded now. */
  declareIn(library: string, signature: string): Declared
  /** A structure without a name, with the layout that the C compiler gives it. */
  struct(members: Readonly<Record<string, string>>): TypeObject
  /** The error number of the last call. */
  lastError(): number
  /** Throws the error of the last call if its result is 0. Returns the result. */
  check(syscall: string, result: number): number
  closeHandle(handle: Handle): void
  /** The handle of a descriptor of this process. */
  handleOf(descriptor: number): Handle
  readPointer(buffer: Buffer, at: number): number
  writePointer(buffer: Buffer, at: number, value: number | bigint): void
}

/** Rejects if koffi is not installed. */
export async function loadWindowsLibrary(): Promise<WindowsLibrary> {
  const { default: koffi } = await import('koffi')
  const libraries = new Map<string, LibraryHandle>()
  const declareIn = (library: string, signature: string): Declared => {
    const handle = libraries.get(library) ?? koffi.load(library)
    libraries.set(library, handle)
    return handle.func(signature)
  }
  const declare = (signature: string): Declared => declareIn('kernel32.dll', signature)
  const lastError = declare('uint32_t __stdcall GetLastError()')
  const closeHandle = declare('int __stdcall CloseHandle(intptr_t)')
  const pointerBytes = koffi.sizeof('void *')
  return {
    koffi,
    pointerBytes,
    declare,
    declareIn,
    struct: (members) => koffi.struct(members),
    lastError,
    check(syscall, result) {
      if (result === 0) throw systemError(syscall, lastError())
      return result
    },
    closeHandle: (handle) => void closeHandle(handle),
    // The descriptors are those of the C library in Node.js, which exports this function of libuv.
    handleOf: declareIn(process.execPath, 'intptr_t uv_get_osfhandle(int)'),
    // Addresses have 47 bits at most.
    readPointer: (buffer, at) =>
      pointerBytes === 8 ? Number(buffer.readBigUInt64LE(at)) : buffer.readUInt32LE(at),
    writePointer(buffer, at, value) {
      if (pointerBytes === 8) buffer.writeBigInt64LE(BigInt(value), at)
      else buffer.writeUInt32LE(Number(value), at)
    }
  }
}
