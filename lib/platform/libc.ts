/** The system calls that Node does not offer, through `koffi` where it is installed. */

import { closeSync } from 'node:fs'
import { constants } from 'node:os'

/** System calls of the running process. */
export interface Libc {
  /** Makes this process the parent of all orphans among its descendants. False when the kernel refuses. */
  becomeSubreaper(): boolean
  /** Collects a child that has ended. False while it runs, and when it is no child. */
  reap(pid: number): boolean
  /** A descriptor that means this one process for ever; undefined where there is none to be had. */
  hold(pid: number): number | undefined
  /** Whether the process of such a descriptor has ended and was collected. */
  isOver(descriptor: number): boolean
  /**
   * Sends a signal to the process that `isStill` confirms, and to no other one that has its number later.
   * Returns the error's code, or undefined when the signal was sent.
   */
  signalConfirmed(pid: number, signal: NodeJS.Signals, isStill: () => boolean): string | undefined
}

const PR_SET_CHILD_SUBREAPER = 36 // linux/prctl.h
const WNOHANG = 1 // linux/wait.h
const SYS_pidfd_send_signal = 424 // the same on every architecture that Node runs on (asm/unistd.h)
const SYS_pidfd_open = 434

/** Loads the system calls, or says why they cannot be had. */
export async function loadLibc(): Promise<Libc | Error> {
  try {
    const { default: koffi } = await import('koffi')
    const library = koffi.load(null)
    const prctl = library.func('int prctl(int, unsigned long, unsigned long, unsigned long, unsigned long)')
    const waitpid = library.func('int waitpid(int, void *, int)')
    const syscall = library.func('long syscall(long, ...)')
    const errorCode = (): string => codeOf(koffi.errno())
    return {
      becomeSubreaper: () => prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) === 0,
      reap: (pid) => waitpid(pid, null, WNOHANG) === pid,
      hold(pid) {
        const descriptor = syscall(SYS_pidfd_open, 'int', pid, 'uint', 0)
        return descriptor < 0 ? undefined : descriptor
      },
      isOver(descriptor) {
        const arguments_ = ['int', descriptor, 'int', 0, 'void *', null, 'uint', 0]
        return syscall(SYS_pidfd_send_signal, ...arguments_) !== 0 && errorCode() === 'ESRCH'
      },
      signalConfirmed(pid, signal, isStill) {
        const fd = syscall(SYS_pidfd_open, 'int', pid, 'uint', 0)
        if (fd < 0) {
          const code = errorCode()
          // Kernels before 5.3 and some sandboxes lack pidfd_open, or no descriptor is left: the number is then
          // all there is.
          return code === 'ESRCH' ? code : signalByNumber(pid, signal, isStill)
        }
        try {
          // From here on the descriptor means this one process. Only now is it certain who it is.
          if (!isStill()) return 'ESRCH'
          const number = constants.signals[signal]
          const result = syscall(SYS_pidfd_send_signal, 'int', fd, 'int', number, 'void *', null, 'uint', 0)
          return result === 0 ? undefined : errorCode()
        } finally {
          closeSync(fd)
        }
      }
    }
  } catch (error) {
    return error as Error
  }
}

/** Sends a signal to a process by its number, confirmed a moment before. Returns the error's code. */
export function signalByNumber(
  pid: number,
  signal: NodeJS.Signals,
  isStill: () => boolean
): string | undefined {
  if (!isStill()) return 'ESRCH'
  try {
    process.kill(pid, signal)
    return undefined
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? String(error)
  }
}

function codeOf(errno: number): string {
  for (const [code, number] of Object.entries(constants.errno)) if (number === errno) return code
  return `errno ${errno}`
}
