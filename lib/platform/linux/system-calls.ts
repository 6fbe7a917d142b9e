/** The system calls that Node does not offer, through `koffi` where it is installed. */

import { closeSync } from 'node:fs'
import { constants } from 'node:os'
import type { LibraryHandle } from 'koffi'
import { type InNewGroup, loadInNewGroup } from './new-group.js'
import { loadPosixSpawn, type PosixSpawn } from './posix-spawn.js'

/** System calls of the running process. */
export interface Libc {
  /** Makes this process the parent of all orphans among its descendants. False when the kernel refuses. */
  becomeSubreaper(): boolean
  /** Starts a process; undefined where the libc cannot. */
  readonly posixSpawn: PosixSpawn | undefined
  readonly inNewGroup: InNewGroup
  /** Collects a child that has ended, -1 for any. Undefined while it runs, and when it is no child. */
  collect(pid: number): Collected | undefined
  /** Whether a group has a process, be it a zombie or another user's. */
  isGroup(number: number): boolean
  /** Gives the system back what was freed; without effect where the libc keeps it. */
  trim(): void
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

/** A child that has ended, and how (wait(2)). */
export interface Collected {
  readonly pid: number
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

const PR_SET_CHILD_SUBREAPER = 36 // linux/prctl.h
const WNOHANG = 1 // linux/wait.h
const SYS_pidfd_send_signal = 424 // the same on every architecture that Node runs on (asm/unistd.h)
const SYS_pidfd_open = 434

// Of two names for one number the first is the common one (SIGABRT and SIGIOT).
const signalByNumberOf = new Map(
  Object.entries(constants.signals)
    .toReversed()
    .map(([name, number]) => [number, name as NodeJS.Signals])
)

/** Loads the system calls, or says why they cannot be had. */
export async function loadLibc(): Promise<Libc | Error> {
  try {
    const { default: koffi } = await import('koffi')
    const library = koffi.load(null)
    const prctl = library.func('int prctl(int, unsigned long, unsigned long, unsigned long, unsigned long)')
    const waitpid = library.func('int waitpid(int, void *, int)')
    const kill = library.func('int kill(int, int)')
    const syscall = library.func('long syscall(long, ...)')
    const status = Buffer.alloc(4)
    const errorCode = (): string => codeOf(koffi.errno())
    return {
      becomeSubreaper: () => prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) === 0,
      posixSpawn: posixSpawnOf(library),
      inNewGroup: inNewGroupOf(library),
      collect(pid) {
        const collected = waitpid(pid, status, WNOHANG)
        return collected > 0 ? { pid: collected, ...endOf(status.readInt32LE()) } : undefined
      },
      trim: trimOf(library),
      isGroup: (number) => kill(-number, 0) === 0 || errorCode() !== 'ESRCH',
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

function posixSpawnOf(library: LibraryHandle): PosixSpawn | undefined {
  try {
    return loadPosixSpawn(library)
  } catch {
    // An old libc: Node starts commands then, at the price of a fork.
    return undefined
  }
}

function inNewGroupOf(library: LibraryHandle): InNewGroup {
  try {
    return loadInNewGroup(library)
  } catch {
    // Commands lead their groups then, all of them.
    return (act) => act(undefined)
  }
}

function trimOf(library: LibraryHandle): () => void {
  try {
    const trim = library.func('int malloc_trim(size_t)')
    return () => void trim(0)
  } catch {
    // It is glibc's own; musl keeps less.
    return () => {}
  }
}

/** How a process has ended, by the status that wait(2) gives, as Node tells it. */
function endOf(status: number): Pick<Collected, 'code' | 'signal'> {
  const number = status & 0x7f
  if (number === 0) return { code: (status >> 8) & 0xff, signal: null }
  const signal = signalByNumberOf.get(number)
  // A real-time signal has no name in Node; it is no success all the same. A shell gives that status.
  return signal === undefined ? { code: 128 + number, signal: null } : { code: null, signal }
}

function codeOf(errno: number): string {
  for (const [code, number] of Object.entries(constants.errno)) if (number === errno) return code
  return `errno ${errno}`
}
