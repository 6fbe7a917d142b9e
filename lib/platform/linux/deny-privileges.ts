/** Forbids that a program gets more rights than its parent has, such as by set-user-ID (no_new_privs.rst). */

import type { NativeCalls } from '../platform.js'
import { candidatePaths, firstExecutable } from '../program-paths.js'
import { defaultPath } from './c-library.js'
import { numberIn } from './process-usage.js'
import { readProc } from './read-proc.js'

/** setpriv(1) of util-linux or busybox, with its arguments. Undefined if it is not in the PATH. */
export function privilegeDenier(): string[] | undefined {
  const found = firstExecutable(candidatePaths('setpriv', process.env.PATH ?? defaultPath()), '/')
  return 'path' in found ? [found.path, '--no-new-privs', '--'] : undefined
}

/** For all children of this process: the flag is inherited, and nobody can clear it. */
export function denyPrivileges(native: NativeCalls | undefined): void {
  if (numberIn(readProc('/proc/self/status') ?? '', 'NoNewPrivs') === 1) return
  if (native?.denyPrivileges() === true) return
  const wayOut = 'install the optional dependency koffi, or setpriv(1) of util-linux'
  throw new Error(`policy.noNewPrivileges cannot be had here: ${wayOut}`)
}
