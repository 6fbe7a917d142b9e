/** The first signal to programs with windows: each window is asked to close, as by its close button. */

import type { WindowsLibrary } from './windows-library.js'

const WM_CLOSE = 0x10 // winuser.h

/** Asks the top-level windows of these processes to close. Returns how many windows were asked. */
export type CloseWindows = (pids: ReadonlySet<number>) => number

export function loadCloseWindows({ declareIn, koffi }: WindowsLibrary): CloseWindows {
  const declare = (signature: string) => declareIn('user32.dll', signature)
  const load = () => ({
    visitType: koffi.pointer(koffi.proto('__stdcall', null, 'int', ['intptr_t', 'intptr_t'])),
    visitWindows: declare('int __stdcall EnumWindows(void *, intptr_t)'),
    ownerOf: declare('uint32_t __stdcall GetWindowThreadProcessId(intptr_t, _Out_ uint32_t *)'),
    post: declare('int __stdcall PostMessageW(intptr_t, uint32_t, uintptr_t, intptr_t)')
  })
  // Most keepers never need it.
  let calls: ReturnType<typeof load> | undefined
  return (pids) => {
    calls ??= load()
    const { visitType, visitWindows, ownerOf, post } = calls
    let asked = 0
    const pid: number[] = [0]
    const visit = koffi.register((window: number) => {
      ownerOf(window, pid)
      if (pids.has(pid[0] as number)) asked += post(window, WM_CLOSE, 0, 0)
      return 1
    }, visitType)
    try {
      visitWindows(visit, 0)
    } finally {
      koffi.unregister(visit)
    }
    return asked
  }
}
