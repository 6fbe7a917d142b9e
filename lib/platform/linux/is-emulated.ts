/** Tells whether an emulator runs this process, as Docker does with images for another processor. */

import { readlinkSync } from 'node:fs'

/** Whether it is qemu's user mode, which has some system calls that differ from the kernel's. */
export function isEmulated(): boolean {
  try {
    // Not /proc/self/exe: qemu shows a process its own program there.
    return /qemu-[^/]*$/.test(readlinkSync(`/proc/self/task/${process.pid}/exe`))
  } catch {
    return false
  }
}
