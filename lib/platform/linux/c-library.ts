/** Tells which C library this process uses, where that makes a difference. */

import { readProc } from './read-proc.js'

let isMusl: boolean | undefined

/** Whether it is musl, and not glibc. */
export function usesMusl(): boolean {
  // A report of Node would tell, too, but takes 20 ms.
  isMusl ??= !/\/libc(\.so\.6|-2\.\d+\.so)$/m.test(readProc('/proc/self/maps') ?? '')
  return isMusl
}

/** Where execvp(3) looks for a program if PATH is not set. */
export function defaultPath(): string {
  return usesMusl() ? '/usr/local/bin:/bin:/usr/bin' : '/bin:/usr/bin'
}
