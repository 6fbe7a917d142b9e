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

export function isOutOfMemory(folder: string): boolean {
  return /^oom_kill [1-9]/m.test(figuresOf(() => readProc(join(folder, 'memory.events'))) ?? '')
}
