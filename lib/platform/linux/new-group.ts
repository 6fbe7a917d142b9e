/**
 * Makes a process group without a leader, for a command that calls setsid(2) itself: a group leader may not.
 */

import { constants } from 'node:os'
import type { LibraryHandle } from 'koffi'
import type { InNewGroup } from '../platform.js'

// linux/sched.h, the same on every architecture. The child runs in the memory of its parent, which waits: nothing is copied.
const CLONE_VM = 0x100
const CLONE_VFORK = 0x4000
const stackBytes = 64 * 1024

/** Throws if the libc lacks one of the functions. */
export function loadInNewGroup(library: LibraryHandle): InNewGroup {
  const clone = library.func('int clone(void *, void *, int, void *)')
  const setpgid = library.func('int setpgid(int, int)')
  const waitpid = library.func('int waitpid(int, void *, int)')
  const exit = library.func('void *dlsym(void *, const char *)')(null, '_exit')
  if (exit === null) throw new Error('the libc has no _exit')

  return (act) => {
    // A process that exits at once. Its pid becomes the number of the group, and is not reused while the
    // group has a member. The stack grows downwards on every architecture that Node runs on, so pass its
    // upper end.
    const stack = Buffer.alloc(stackBytes)
    const pid = clone(
      exit,
      stack.subarray(stackBytes / 2),
      CLONE_VM | CLONE_VFORK | constants.signals.SIGCHLD,
      null
    )
    if (pid <= 0) return act(undefined)
    try {
      return act(setpgid(pid, pid) === 0 ? pid : undefined)
    } finally {
      waitpid(pid, null, 0)
    }
  }
}
