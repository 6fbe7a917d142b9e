/** Nice values (setpriority(2)): of a whole group at once, and of a session. */

import { writeFileSync } from 'node:fs'
import type { LibraryHandle } from 'koffi'
import { withDescriptor } from '../read-proc.js'

const PRIO_PGRP = 1 // sys/resource.h

/** Returns false if there is no such group, or the system refuses. */
export function loadSetNiceOfGroup(library: LibraryHandle): (group: number, nice: number) => boolean {
  const setpriority = library.func('int setpriority(int, int, int)')
  return (group, nice) => setpriority(PRIO_PGRP, group, nice) === 0
}

/**
 * With `sched_autogroup`, the kernel divides the processor between sessions first, and a nice value has an effect only among
 * the processes of one session. So a session has a value of its own (sched(7)).
 */
export function setNiceOfSession(leader: number, nice: number): void {
  try {
    withDescriptor(() => writeFileSync(`/proc/${leader}/autogroup`, `${nice}`))
  } catch {
    // Not in every kernel. And without rights, only ten times a second: the nice values of the processes remain.
  }
}
