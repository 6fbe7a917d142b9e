/**
 * Named pipes for the standard streams of commands. This process creates a pipe that only this user can open, the
 * worker connects to it, and the command inherits this end. Reads and writes of this end block, as programs
 * expect of their standard streams.
 */

import type { Handle, WindowsLibrary } from './windows-library.js'

// winbase.h, winerror.h
const PIPE_ACCESS_DUPLEX = 0x3
const FILE_FLAG_FIRST_PIPE_INSTANCE = 0x8_0000
const PIPE_REJECT_REMOTE_CLIENTS = 0x8
const ERROR_BROKEN_PIPE = 109
const SDDL_REVISION_1 = 1
const TOKEN_QUERY = 0x8
const TokenUser = 1
const currentProcess = -1
const invalidHandle = -1
// As Node.js has for its own children.
const bufferBytes = 65_536

export interface StdioPipeCalls {
  /**
   * Creates a pipe for one connection, with a name like `\\.\pipe\name`. Only this user can connect, and only
   * from this machine. Throws a system error: EPERM or EBUSY if the name is taken.
   */
  createStdioPipe(name: string): Handle
  /**
   * Whether the worker has connected. A command must not start before: to read from or write to a pipe without
   * a client fails.
   */
  isPipeConnected(pipe: Handle): boolean
}

export function loadStdioPipeCalls(library: WindowsLibrary): StdioPipeCalls {
  const { declare, declareIn, check, lastError, pointerBytes, readPointer, writePointer } = library
  const createPipe = declare(
    'intptr_t __stdcall CreateNamedPipeW(const char16_t *, uint32_t, uint32_t, uint32_t, uint32_t, uint32_t, uint32_t, void *)'
  )
  const peek = declare('int __stdcall PeekNamedPipe(intptr_t, void *, uint32_t, void *, void *, void *)')
  const convert = declareIn(
    'advapi32.dll',
    'int __stdcall ConvertStringSecurityDescriptorToSecurityDescriptorW(const char16_t *, uint32_t, void *, void *)'
  )

  /** SECURITY_ATTRIBUTES: full access for this user, none for anybody else. Not inherited. */
  const onlyThisUser = (): Buffer => {
    const descriptor = Buffer.alloc(pointerBytes)
    const text = `D:P(A;;GA;;;${userSid(library)})`
    check(
      'ConvertStringSecurityDescriptorToSecurityDescriptorW',
      convert(text, SDDL_REVISION_1, descriptor, null)
    )
    const attributes = Buffer.alloc(3 * pointerBytes)
    attributes.writeUInt32LE(attributes.length)
    writePointer(attributes, pointerBytes, readPointer(descriptor, 0))
    return attributes
  }
  let security: Buffer | undefined

  return {
    createStdioPipe(name) {
      security ??= onlyThisUser()
      const access = PIPE_ACCESS_DUPLEX | FILE_FLAG_FIRST_PIPE_INSTANCE
      const mode = PIPE_REJECT_REMOTE_CLIENTS
      const pipe = createPipe(name, access, mode, 1, bufferBytes, bufferBytes, 0, security)
      return check('CreateNamedPipeW', pipe === invalidHandle ? 0 : pipe)
    },
    // A client that has closed its end already counts, too: the command gets a stream that has ended.
    isPipeConnected: (pipe) =>
      peek(pipe, null, 0, null, null, null) !== 0 || lastError() === ERROR_BROKEN_PIPE
  }
}

/** The security identifier of this process's user, as text. */
function userSid({ declareIn, check, closeHandle, pointerBytes }: WindowsLibrary): string {
  const openToken = declareIn(
    'advapi32.dll',
    'int __stdcall OpenProcessToken(intptr_t, uint32_t, _Out_ intptr_t *)'
  )
  const query = declareIn(
    'advapi32.dll',
    'int __stdcall GetTokenInformation(intptr_t, int, void *, uint32_t, _Out_ uint32_t *)'
  )
  const token: Handle[] = [0]
  check('OpenProcessToken', openToken(currentProcess, TOKEN_QUERY, token))
  try {
    // TOKEN_USER: a pointer and a number, then the identifier itself, which has 68 bytes at most.
    const user = Buffer.alloc(2 * pointerBytes + 68)
    check('GetTokenInformation', query(token[0], TokenUser, user, user.length, [0]))
    return sidText(user.subarray(2 * pointerBytes))
  } finally {
    closeHandle(token[0] as Handle)
  }
}

/** Writes a security identifier as text: `S-1-5-21-…`. */
function sidText(sid: Buffer): string {
  const count = sid.readUInt8(1)
  const parts = Array.from({ length: count }, (_, index) => sid.readUInt32LE(8 + 4 * index))
  return ['S', sid.readUInt8(0), sid.readUIntBE(2, 6), ...parts].join('-')
}
