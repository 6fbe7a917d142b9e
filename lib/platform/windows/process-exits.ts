/**
 * Tells when processes end. A thread of the system's own pool waits for all of them and calls back at the exit,
 * so it takes no thread for each process and no polling.
 */

import type { Handle, WindowsLibrary } from './windows-library.js'

// winnt.h. The default thread, and not the one that waits (WT_EXECUTEINWAITTHREAD): the callback blocks its
// thread until JavaScript has run, and Node's own child processes are waited for by the same thread.
const WT_EXECUTEONLYONCE = 0x8
const INFINITE = 0xffff_ffff

export interface ProcessExitCalls {
  /**
   * Calls `act` when the process has ended, or soon if it has ended already. The handle must stay open until
   * then. It does not keep the event loop alive.
   */
  onceEnded(process: Handle, act: () => void): void
}

export function loadProcessExitCalls({ koffi, declare, check }: WindowsLibrary): ProcessExitCalls {
  const register = declare(
    'int __stdcall RegisterWaitForSingleObject(_Out_ uintptr_t *, intptr_t, void *, uintptr_t, uint32_t, uint32_t)'
  )
  const unregister = declare('int __stdcall UnregisterWait(uintptr_t)')
  const waits = new Map<number, { readonly wait: number; readonly act: () => void }>()
  let lastKey = 0
  const callback = koffi.register(
    (key: number) => {
      const ended = waits.get(key)
      waits.delete(key)
      if (ended === undefined) return
      // Frees the wait when the callback has returned (ERROR_IO_PENDING).
      unregister(ended.wait)
      ended.act()
    },
    koffi.pointer(koffi.proto('__stdcall', null, 'void', ['uintptr_t', 'uint8_t']))
  )
  return {
    onceEnded(process, act) {
      const key = ++lastKey
      const wait: number[] = [0]
      const result = register(wait, process, callback, key, INFINITE, WT_EXECUTEONLYONCE)
      check('RegisterWaitForSingleObject', result)
      waits.set(key, { wait: wait[0] as number, act })
    }
  }
}
