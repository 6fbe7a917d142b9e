/** Makes this process the parent of all orphans among its descendants. */

import type { OrphanAdoption } from '../platform.js'
import { loadNativeCalls } from './native-calls.js'
import { canListChildren } from './process-children.js'

/**
 * Orphans can only be found where the kernel lists children: without that the process does not adopt them.
 */
export async function adoptOrphans(): Promise<OrphanAdoption> {
  const native = await loadNativeCalls()
  if (native instanceof Error) {
    const why = `koffi could not be loaded on this ${process.arch} machine (${native.message})`
    return { native: undefined, adoptsOrphans: false, why }
  }
  if (!canListChildren()) {
    return { native, adoptsOrphans: false, why: 'this kernel does not list the children of a process' }
  }
  if (!native.becomeOrphanAdopter()) {
    return { native, adoptsOrphans: false, why: 'this kernel refuses PR_SET_CHILD_SUBREAPER' }
  }
  return { native, adoptsOrphans: true }
}
