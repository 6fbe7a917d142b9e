/** Makes this process a subreaper if possible, which gives the better containment level. */

import { canListChildren, type Libc, loadLibc } from '../platform/current.js'

export interface PreparedContainment {
  readonly libc: Libc | undefined
  readonly isSubreaper: boolean
  /** Why this process is not a subreaper. */
  readonly why?: string
}

export async function prepareContainment(): Promise<PreparedContainment> {
  const loaded = await loadLibc()
  if (loaded instanceof Error) {
    return { libc: undefined, isSubreaper: false, why: `koffi could not be loaded (${loaded.message})` }
  }
  if (!canListChildren()) {
    return { libc: loaded, isSubreaper: false, why: 'this kernel does not list the children of a process' }
  }
  if (!loaded.becomeSubreaper()) {
    return { libc: loaded, isSubreaper: false, why: 'this kernel refuses PR_SET_CHILD_SUBREAPER' }
  }
  return { libc: loaded, isSubreaper: true }
}
