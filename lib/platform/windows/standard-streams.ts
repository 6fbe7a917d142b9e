/** The handles that a new process inherits as its standard streams. */

import type { Handle, WindowsLibrary } from './windows-library.js'

// winbase.h, winnt.h
const standardHandles = [0xffff_fff6, 0xffff_fff5, 0xffff_fff4] // STD_INPUT_HANDLE and so on: -10 to -12
const currentProcess = -1
const invalidHandle = -1
const DUPLICATE_SAME_ACCESS = 0x2
const FILE_GENERIC_READ = 0x12_0089
const FILE_GENERIC_WRITE = 0x12_0116
const FILE_READ_ATTRIBUTES = 0x80
const FILE_SHARE_READ_WRITE = 0x3
const OPEN_EXISTING = 3

/** A handle of this process, this process's own stream of the same number, or nothing. */
export type StandardStream = Handle | 'inherit' | 'ignore'

export interface StandardStreamCalls {
  /**
   * Copies of the streams that a child can inherit. The caller closes them as soon as the child is started: as
   * long as they are open, nobody sees the end of a stream.
   */
  inheritableCopies(stdio: readonly StandardStream[]): Handle[]
}

export function loadStandardStreamCalls({ declare, check }: WindowsLibrary): StandardStreamCalls {
  const duplicate = declare(
    'int __stdcall DuplicateHandle(intptr_t, intptr_t, intptr_t, _Out_ intptr_t *, uint32_t, int, uint32_t)'
  )
  const getStandardHandle = declare('intptr_t __stdcall GetStdHandle(uint32_t)')
  const createFile = declare(
    'intptr_t __stdcall CreateFileW(const char16_t *, uint32_t, uint32_t, void *, uint32_t, uint32_t, intptr_t)'
  )

  const openNothing = (access: number): Handle => {
    const nothing = createFile('NUL', access, FILE_SHARE_READ_WRITE, null, OPEN_EXISTING, 0, 0)
    return check('CreateFileW', nothing === invalidHandle ? 0 : nothing)
  }
  const nothing: Handle[] = []
  const nothingFor = (descriptor: number): Handle => {
    nothing[descriptor] ??= openNothing(
      descriptor === 0 ? FILE_GENERIC_READ : FILE_GENERIC_WRITE | FILE_READ_ATTRIBUTES
    )
    return nothing[descriptor]
  }

  const handleFor = (stream: StandardStream, descriptor: number): Handle => {
    if (typeof stream === 'number') return stream
    if (stream === 'ignore') return nothingFor(descriptor)
    const own = getStandardHandle(standardHandles[descriptor])
    // A process without a console may have no streams.
    return own === 0 || own === invalidHandle ? nothingFor(descriptor) : own
  }

  return {
    inheritableCopies: (stdio) =>
      stdio.map((stream, descriptor) => {
        const copy: Handle[] = [0]
        const source = handleFor(stream, descriptor)
        const result = duplicate(currentProcess, source, currentProcess, copy, 0, 1, DUPLICATE_SAME_ACCESS)
        check('DuplicateHandle', result)
        return copy[0] as Handle
      })
  }
}
