/** Named pipes that only this user can open: for the standard streams of commands. */

import { systemError } from './windows-errors.js'
import type { WindowsLibrary } from './windows-library.js'

// winbase.h, winnt.h
const PIPE_ACCESS_DUPLEX = 0x3
const FILE_FLAG_FIRST_PIPE_INSTANCE = 0x8_0000
const PIPE_REJECT_REMOTE_CLIENTS = 0x8
const TOKEN_QUERY = 0x8
const TokenUser = 1
const SDDL_REVISION_1 = 1 // sddl.h
const ERROR_TOO_MANY_OPEN_FILES = 4
const currentProcess = -1
const invalidHandle = -1
// As in libuv's src/win/process-stdio.c.
const bufferBytes = 65_536
// TOKEN_USER with the longest SID (SECURITY_MAX_SID_SIZE) is shorter.
const tokenUserBytes = 256

export interface PrivatePipeCalls {
  /**
   * Makes a pipe for a single connection. Returns a descriptor of the end that listens, which blocks. Throws a
   * system error, also if there is a pipe of this name.
   */
  makePrivatePipe(path: string): number
}

export function loadPrivatePipeCalls(library: WindowsLibrary): PrivatePipeCalls {
  const { declare, declareIn, check, closeHandle, koffi, writePointer } = library
  const create = declare(
    'intptr_t __stdcall CreateNamedPipeW(const char16_t *, uint32_t, uint32_t, uint32_t, uint32_t, uint32_t, uint32_t, void *)'
  )
  // libuv's, which Node.js exports.
  const open = declareIn(process.execPath, 'int uv_open_osfhandle(intptr_t)')

  // SECURITY_ATTRIBUTES: nobody but this user has access, not even to read.
  const layout = library.struct({ length: 'uint32_t', descriptor: 'void *', isInherited: 'int' })
  const attributes = Buffer.alloc(layout.size)
  attributes.writeUInt32LE(attributes.length)
  const rights = `D:P(A;;FA;;;${userOf(library)})`
  writePointer(attributes, koffi.offsetof(layout, 'descriptor'), descriptorOf(library, rights))

  return {
    makePrivatePipe(path) {
      const mode = PIPE_ACCESS_DUPLEX | FILE_FLAG_FIRST_PIPE_INSTANCE
      const handle = create(
        path,
        mode,
        PIPE_REJECT_REMOTE_CLIENTS,
        1,
        bufferBytes,
        bufferBytes,
        0,
        attributes
      )
      check('CreateNamedPipeW', handle === invalidHandle ? 0 : handle)
      const descriptor = open(handle)
      if (descriptor >= 0) return descriptor
      closeHandle(handle)
      throw systemError('uv_open_osfhandle', ERROR_TOO_MANY_OPEN_FILES)
    }
  }
}

/** The SID of the user of this process, as text. */
function userOf({ declareIn, check, closeHandle, readPointer }: WindowsLibrary): string {
  const openToken = declareIn(
    'advapi32.dll',
    'int __stdcall OpenProcessToken(intptr_t, uint32_t, _Out_ intptr_t *)'
  )
  const query = declareIn(
    'advapi32.dll',
    'int __stdcall GetTokenInformation(intptr_t, int, void *, uint32_t, _Out_ uint32_t *)'
  )
  const toText = declareIn('advapi32.dll', 'int __stdcall ConvertSidToStringSidW(intptr_t, _Out_ str16 *)')
  const token = [0]
  check('OpenProcessToken', openToken(currentProcess, TOKEN_QUERY, token))
  try {
    const user = Buffer.alloc(tokenUserBytes)
    check('GetTokenInformation', query(token[0], TokenUser, user, user.length, [0]))
    const text = ['']
    check('ConvertSidToStringSidW', toText(readPointer(user, 0), text))
    return text[0] as string
  } finally {
    closeHandle(token[0] as number)
  }
}

/** The address of a security descriptor with these rights. It is never freed: there is one for each process. */
function descriptorOf({ declareIn, check }: WindowsLibrary, rights: string): number {
  const convert = declareIn(
    'advapi32.dll',
    'int __stdcall ConvertStringSecurityDescriptorToSecurityDescriptorW(const char16_t *, uint32_t, _Out_ intptr_t *, void *)'
  )
  const descriptor = [0]
  check(
    'ConvertStringSecurityDescriptorToSecurityDescriptorW',
    convert(rights, SDDL_REVISION_1, descriptor, null)
  )
  return descriptor[0] as number
}
