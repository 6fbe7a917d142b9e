/** Error numbers of Windows as Node.js reports them (libuv's translation). */

import { getSystemErrorMap } from 'node:util'

// What starting a process, opening one and creating a pipe can fail with (winerror.h).
const codes: Readonly<Record<number, string>> = {
  2: 'ENOENT', // ERROR_FILE_NOT_FOUND
  3: 'ENOENT', // ERROR_PATH_NOT_FOUND
  4: 'EMFILE', // ERROR_TOO_MANY_OPEN_FILES
  5: 'EPERM', // ERROR_ACCESS_DENIED
  6: 'EBADF', // ERROR_INVALID_HANDLE
  8: 'ENOMEM', // ERROR_NOT_ENOUGH_MEMORY
  14: 'ENOMEM', // ERROR_OUTOFMEMORY
  15: 'ENOENT', // ERROR_INVALID_DRIVE
  32: 'EBUSY', // ERROR_SHARING_VIOLATION
  33: 'EBUSY', // ERROR_LOCK_VIOLATION
  50: 'ENOTSUP', // ERROR_NOT_SUPPORTED
  87: 'EINVAL', // ERROR_INVALID_PARAMETER
  109: 'EOF', // ERROR_BROKEN_PIPE
  111: 'ENAMETOOLONG', // ERROR_BUFFER_OVERFLOW
  122: 'EINVAL', // ERROR_INSUFFICIENT_BUFFER
  123: 'ENOENT', // ERROR_INVALID_NAME
  126: 'ENOENT', // ERROR_MOD_NOT_FOUND
  161: 'ENOENT', // ERROR_BAD_PATHNAME
  183: 'EEXIST', // ERROR_ALREADY_EXISTS
  193: 'EFTYPE', // ERROR_BAD_EXE_FORMAT
  206: 'ENAMETOOLONG', // ERROR_FILENAME_EXCED_RANGE
  208: 'E2BIG', // ERROR_META_EXPANSION_TOO_LONG
  231: 'EBUSY', // ERROR_PIPE_BUSY
  267: 'ENOENT', // ERROR_DIRECTORY
  740: 'EACCES', // ERROR_ELEVATION_REQUIRED
  1314: 'EPERM', // ERROR_PRIVILEGE_NOT_HELD
  1920: 'EACCES' // ERROR_CANT_ACCESS_FILE
}

/** The code and number that Node.js has for an error of Windows. */
export function systemErrorOf(windowsError: number): { code: string; errno: number } {
  const code = codes[windowsError] ?? 'UNKNOWN'
  for (const [errno, [name]] of getSystemErrorMap()) if (name === code) return { code, errno }
  return { code, errno: 0 }
}

/** An error like those of Node.js, for a function of Windows that has failed. */
export function systemError(syscall: string, windowsError: number): NodeJS.ErrnoException {
  const { code, errno } = systemErrorOf(windowsError)
  const message = `${syscall} ${code} (Windows error ${windowsError})`
  return Object.assign(new Error(message), { code, errno, syscall })
}
