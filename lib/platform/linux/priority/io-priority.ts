/** I/O priorities by ioprio_set(2), which has no function in any C library. */

import type { LibraryHandle } from 'koffi'
import type { IoPriority } from '../../../priority-options.js'
import type { IoPriorities } from '../../platform.js'

// SYS_ioprio_set, by `process.arch` (asm/unistd.h). SYS_ioprio_get is the next number.
const setNumbers: Readonly<Record<string, number>> = {
  x64: 251,
  ia32: 289,
  arm: 314,
  arm64: 30,
  riscv64: 30,
  loong64: 30,
  ppc64: 273,
  s390x: 282
}

// linux/ioprio.h
const IOPRIO_WHO_PROCESS = 1
const IOPRIO_CLASS_SHIFT = 13
const classes = { 'best-effort': 2, idle: 3 }

/** Undefined if the number of the call, or the call itself, is unknown here. */
export function loadIoPriorities(library: LibraryHandle): IoPriorities | undefined {
  const setNumber = setNumbers[process.arch]
  if (setNumber === undefined) return undefined
  const syscall = library.func('long syscall(long, ...)')
  // Of a process, this is the value of its main thread. 0 is this one.
  const get = (pid: number): number => syscall(setNumber + 1, 'int', IOPRIO_WHO_PROCESS, 'int', pid)
  const set = (pid: number, value: number): boolean =>
    syscall(setNumber, 'int', IOPRIO_WHO_PROCESS, 'int', pid, 'int', value) === 0
  if (get(0) < 0) return undefined

  return {
    // What a process starts inherits the value of the thread that starts it.
    whileSet(priority, act, onFailure) {
      const previous = get(0)
      if (!set(0, numberOf(priority))) {
        onFailure()
        return act()
      }
      try {
        return act()
      } finally {
        set(0, previous)
      }
    },
    setOf: (pid, priority) => void set(pid, numberOf(priority))
  }
}

function numberOf({ class: name, level }: IoPriority): number {
  return (classes[name] << IOPRIO_CLASS_SHIFT) | level
}
