/** The error of a program that cannot be started with its limits, in the form that `child_process` gives. */

import { constants } from 'node:os'

type Code = 'EACCES' | 'EAGAIN' | 'EMFILE' | 'ENFILE' | 'ENOENT' | 'ENOMEM' | 'ENOTSUP' | 'EPERM'

export function limitError(file: string, code: Code, why?: string): Error {
  const message = why === undefined ? `spawn ${file} ${code}` : `spawn ${file} ${code}: ${why}`
  return Object.assign(new Error(message), { code, errno: -constants.errno[code] })
}
