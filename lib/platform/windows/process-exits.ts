/**
 * Tells when processes end. The system waits for all of them; at an exit, one thread calls back. So it takes
 * neither polling nor a thread for each process.
 */

import type { Handle, WindowsLibrary } from './windows-library.js'

export interface ProcessExitCalls {
  /**
   * Calls `act` when the process has ended, or soon if it has ended already. The handle must stay open until
   * then. Waiting does not keep the event loop alive.
   */
  onceEnded(process: Handle, act: () => void): void
  /** Ends all waiting. Call it before `process.exit()`: a call back into a runtime that ends is an abort. */
  stopWaiting(): void
}

export function loadProcessExitCalls(library: WindowsLibrary): ProcessExitCalls {
  const { koffi, declare, check, writePointer } = library
  const createPool = declare('uintptr_t __stdcall CreateThreadpool(void *)')
  const limitPool = declare('void __stdcall SetThreadpoolThreadMaximum(uintptr_t, uint32_t)')
  const createWait = declare('uintptr_t __stdcall CreateThreadpoolWait(void *, uintptr_t, void *)')
  const setWait = declare('void __stdcall SetThreadpoolWait(uintptr_t, intptr_t, void *)')
  const closeWait = declare('void __stdcall CloseThreadpoolWait(uintptr_t)')

  // TP_CALLBACK_ENVIRON, version 1
  const layout = library.struct({
    version: 'uint32_t',
    pool: 'void *',
    others: 'void *[5]',
    flags: 'uint32_t'
  })
  const environment = Buffer.alloc(layout.size)
  const waits = new Map<number, { readonly wait: number; readonly act: () => void }>()
  let lastKey = 0

  /** Called by the thread of the pool, which is blocked until JavaScript has run it. */
  const ended = (_: unknown, key: number): void => {
    const waiting = waits.get(key)
    if (waiting === undefined) return
    waits.delete(key)
    closeWait(waiting.wait)
    // An error must not get into the native code that calls this.
    process.nextTick(waiting.act)
  }
  let callback: bigint | undefined
  const prepare = (): bigint => {
    // One thread of our own. In the pool that all share, each exit of a thousand could block a thread, and the
    // exits of Node's own child processes would wait behind them.
    const pool = check('CreateThreadpool', createPool(null))
    limitPool(pool, 1)
    environment.writeUInt32LE(1, koffi.offsetof(layout, 'version'))
    writePointer(environment, koffi.offsetof(layout, 'pool'), pool)
    const type = koffi.proto('__stdcall', null, 'void', ['void *', 'uintptr_t', 'void *', 'uint32_t'])
    return koffi.register(ended, koffi.pointer(type))
  }

  return {
    onceEnded(process, act) {
      callback ??= prepare()
      const key = ++lastKey
      const wait = check('CreateThreadpoolWait', createWait(callback, key, environment))
      waits.set(key, { wait, act })
      setWait(wait, process, null)
    },
    stopWaiting() {
      for (const { wait } of waits.values()) {
        setWait(wait, 0, null)
        closeWait(wait)
      }
      waits.clear()
    }
  }
}
