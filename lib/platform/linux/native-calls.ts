/** System calls that Node does not offer, made by `koffi`, an optional dependency. */

import { closeSync } from 'node:fs'
import { constants } from 'node:os'
import type { LibraryHandle } from 'koffi'
import type { InNewGroup, NativeCalls, ReapedChild } from '../platform.js'
import { signalByPid } from '../posix/signal-by-pid.js'
import { isEmulated } from './is-emulated.js'
import { loadInNewGroup } from './new-group.js'
import { loadPosixSpawn } from './posix-spawn-binding.js'
import { loadIoPriorities } from './priority/io-priority.js'
import { loadSetNiceOfGroup } from './priority/nice.js'
import { ResourceUsageBuffer } from './resource-usage-buffer.js'

// linux/prctl.h
const PR_SET_CHILD_SUBREAPER = 36
const PR_SET_NO_NEW_PRIVS = 38
const WNOHANG = 1 // linux/wait.h
// The same on every architecture but MIPS and Alpha, for which koffi has no build (asm/unistd.h).
const SYS_pidfd_send_signal = 424
const SYS_pidfd_open = 434

// If a number has two names, the first is the common one (SIGABRT and SIGIOT).
const signalNames = new Map(
  Object.entries(constants.signals)
    .toReversed()
    .map(([name, number]) => [number, name as NodeJS.Signals])
)

/** Loads the native calls. Resolves with the reason if they cannot be loaded. */
export async function loadNativeCalls(): Promise<NativeCalls | Error> {
  try {
    const { default: koffi } = await import('koffi')
    const library = koffi.load(null)
    const prctl = library.func('int prctl(int, unsigned long, unsigned long, unsigned long, unsigned long)')
    const wait4 = library.func('int wait4(int, void *, int, void *)')
    const kill = library.func('int kill(int, int)')
    const syscall = library.func('long syscall(long, ...)')
    // In the byte order of the machine.
    const status = new Int32Array(1)
    const resourceUsage = new ResourceUsageBuffer()
    const errorCode = (): string => codeOf(koffi.errno())
    return {
      becomeOrphanAdopter: () => prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) === 0,
      denyPrivileges: () => prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) === 0,
      ...posixSpawnOf(library),
      inNewGroup: inNewGroupOf(library),
      ioPriorities: loadIoPriorities(library),
      setNiceOfGroup: loadSetNiceOfGroup(library),
      reap(pid) {
        const reaped = wait4(pid, status, WNOHANG, resourceUsage.buffer)
        if (reaped <= 0) return undefined
        return { pid: reaped, ...exitOf(status[0] as number), usage: resourceUsage.read() }
      },
      returnFreedMemory: returnFreedMemoryOf(library),
      groupExists: (group) => kill(-group, 0) === 0 || errorCode() !== 'ESRCH',
      holdProcess(pid) {
        const descriptor = syscall(SYS_pidfd_open, 'int', pid, 'uint', 0)
        return descriptor < 0 ? undefined : descriptor
      },
      isReaped(descriptor) {
        const arguments_ = ['int', descriptor, 'int', 0, 'void *', null, 'uint', 0]
        return syscall(SYS_pidfd_send_signal, ...arguments_) !== 0 && errorCode() === 'ESRCH'
      },
      signalConfirmed(pid, signal, isStill) {
        const fd = syscall(SYS_pidfd_open, 'int', pid, 'uint', 0)
        if (fd < 0) {
          const code = errorCode()
          // Kernels before 5.3 and some sandboxes lack pidfd_open, or no descriptor is left. Only the pid
          // remains then.
          return code === 'ESRCH' ? code : signalByPid(pid, signal, isStill)
        }
        try {
          // Confirm only now: from here on, the descriptor means this one process.
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

function posixSpawnOf(library: LibraryHandle): Pick<NativeCalls, 'posixSpawn' | 'startsInCgroup'> {
  // vfork(2) is a fork in qemu, so posix_spawn(3) does not hear from its child why it cannot run the program.
  if (isEmulated()) return { posixSpawn: undefined, startsInCgroup: false }
  try {
    return loadPosixSpawn(library)
  } catch {
    // An old libc. Node starts commands instead, at the price of a fork.
    return { posixSpawn: undefined, startsInCgroup: false }
  }
}

function inNewGroupOf(library: LibraryHandle): InNewGroup {
  try {
    return loadInNewGroup(library)
  } catch {
    // Every command becomes the leader of its group instead.
    return (act) => act(undefined)
  }
}

function returnFreedMemoryOf(library: LibraryHandle): () => void {
  try {
    const trim = library.func('int malloc_trim(size_t)')
    return () => void trim(0)
  } catch {
    // Only glibc has it; musl keeps less.
    return () => {}
  }
}

/** How a process has ended, from the status of wait(2), in the form that Node reports it. */
function exitOf(status: number): Pick<ReapedChild, 'code' | 'signal'> {
  const number = status & 0x7f
  if (number === 0) return { code: (status >> 8) & 0xff, signal: null }
  const signal = signalNames.get(number)
  // Node has no name for a real-time signal. It is not a success either: report the status that a shell
  // would.
  return signal === undefined ? { code: 128 + number, signal: null } : { code: null, signal }
}

function codeOf(errno: number): string {
  for (const [code, number] of Object.entries(constants.errno)) if (number === errno) return code
  return `errno ${errno}`
}
