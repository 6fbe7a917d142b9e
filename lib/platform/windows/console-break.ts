/**
 * The first signal to console programs: Ctrl-Break. Node.js programs see SIGBREAK. A program that does not handle
 * it ends (a Java program prints its threads instead and goes on).
 */

import type { WindowsLibrary } from './windows-library.js'

const CTRL_BREAK_EVENT = 1 // wincon.h

export interface ConsoleCalls {
  /** Whether this process has a console. If so, its children share it. */
  hasConsole(): boolean
  /** Joins the console of another process. Returns false if that has none, or if this process has one. */
  joinConsoleOf(pid: number): boolean
  /**
   * Sends Ctrl-Break to a process that `StartProcess` has started, and to those of its descendants that have
   * neither left its console nor made a group of their own. Returns false if it has no console or has ended.
   */
  sendBreak(leader: number): boolean
}

export function loadConsoleCalls({ declare }: WindowsLibrary): ConsoleCalls {
  const attach = declare('int __stdcall AttachConsole(uint32_t)')
  const free = declare('int __stdcall FreeConsole()')
  const generate = declare('int __stdcall GenerateConsoleCtrlEvent(uint32_t, uint32_t)')
  const list = declare('uint32_t __stdcall GetConsoleProcessList(void *, uint32_t)')

  /** Of the console of this process. Empty if it has none. */
  const processesOfConsole = (): number[] => {
    let pids = new Uint32Array(16)
    let count = list(pids, pids.length)
    while (count > pids.length) {
      pids = new Uint32Array(count + 16)
      count = list(pids, pids.length)
    }
    return [...pids.subarray(0, count)]
  }
  const hasConsole = (): boolean => list(new Uint32Array(1), 1) > 0

  return {
    hasConsole,
    joinConsoleOf: (pid) => attach(pid) !== 0,
    sendBreak(leader) {
      const isShared = hasConsole()
      if (!isShared && attach(leader) === 0) return false
      try {
        // A group that is not of this console would mean everybody on it, including this process.
        return processesOfConsole().includes(leader) && generate(CTRL_BREAK_EVENT, leader) !== 0
      } finally {
        if (!isShared) free()
      }
    }
  }
}
