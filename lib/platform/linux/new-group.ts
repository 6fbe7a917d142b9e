/** A process group that nobody leads, for a command that is to begin a session by itself: a leader may not (setsid(2)). */

import type { LibraryHandle } from 'koffi'

/** Calls back with the number of a new group of this session, which is there until then; undefined where it cannot be had. */
export type InNewGroup = <Result>(act: (group: number | undefined) => Result) => Result

// linux/sched.h. The child borrows the memory of its parent, who waits: nothing is copied.
const CLONE_VM = 0x100
const CLONE_VFORK = 0x4000
const SIGCHLD = 17
const stackBytes = 64 * 1024

/** Throws where the libc lacks something of it. */
export function loadInNewGroup(library: LibraryHandle): InNewGroup {
  const clone = library.func('int clone(void *, void *, int, void *)')
  const setpgid = library.func('int setpgid(int, int)')
  const waitpid = library.func('int waitpid(int, void *, int)')
  const exit = library.func('void *dlsym(void *, const char *)')(null, '_exit')
  if (exit === null) throw new Error('there is no _exit')

  return (act) => {
    // A process that does nothing but to end. Its number is that of the group, and nobody gets it while the group has a member.
    // Stacks grow downwards, on every architecture that Node runs on.
    const stack = Buffer.alloc(stackBytes)
    const pid = clone(exit, stack.subarray(stackBytes / 2), CLONE_VM | CLONE_VFORK | SIGCHLD, null)
    if (pid <= 0) return act(undefined)
    try {
      return act(setpgid(pid, pid) === 0 ? pid : undefined)
    } finally {
      waitpid(pid, null, 0)
    }
  }
}
