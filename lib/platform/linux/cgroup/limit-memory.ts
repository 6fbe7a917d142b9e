/** Limits the memory of a cgroup, and tells whether the kernel has killed a process for that (cgroup-v2.rst). */

import { join } from 'node:path'
import { figuresOf, readProc } from '../read-proc.js'
import { write } from './cgroup-folder.js'

export function limitMemory(folder: string, bytes: number): void {
  try {
    write(join(folder, 'memory.max'), String(bytes))
    // All of them: one that is left would wait for what the others do.
    write(join(folder, 'memory.oom.group'), '1')
  } catch (error) {
    // Without the controller there is no such file. The kernel has had the second one since 4.19.
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
}

/**
 * The limit, in bytes, at which the kernel has killed a process of the cgroup. Undefined if it has not. `oom_kill` alone
 * also counts processes that were killed because the machine, a cgroup above or one below had no memory left.
 */
export function exhaustedMemoryOf(folder: string): number | undefined {
  const read = (name: string): string => figuresOf(() => readProc(join(folder, name))) ?? ''
  const isOwnLimit = /^oom [1-9]/m.test(read('memory.events.local'))
  const hasKilled = /^oom_kill [1-9]/m.test(read('memory.events'))
  return isOwnLimit && hasKilled ? Number.parseInt(read('memory.max'), 10) : undefined
}
