/** Checks which system calls koffi and the kernel allow the keeper to make. */

import { closeSync } from 'node:fs'
import type { Finding, NativeCalls } from '../../platform.js'
import { usesMusl } from '../c-library.js'
import { loadNativeCalls } from '../native-calls.js'
import { canListChildren } from '../process-children.js'

/**
 * Tries them in this process, which may become a subreaper itself. If there is a problem, no keeper can
 * become one.
 */
export async function checkNativeCalls(): Promise<Finding[]> {
  const native = await loadNativeCalls()
  if (native instanceof Error) return [koffiMissing(native), checkChildren()]
  const koffi = { name: 'koffi', severity: 'ok', says: 'koffi is installed and makes system calls.' } as const
  return [koffi, checkChildren(), checkSubreaper(native), checkPidfd(native)]
}

function koffiMissing(error: Error): Finding {
  const { code } = error as NodeJS.ErrnoException
  const [problem] = error.message.split('\n')
  const isAbsent = code === 'ERR_MODULE_NOT_FOUND' && error.message.includes("'koffi'")
  return {
    name: 'koffi',
    severity: 'problem',
    says: isAbsent
      ? 'koffi is not installed, so the keeper cannot become a subreaper.'
      : `koffi does not work on this ${process.arch} machine with ${libcName()}: ${problem}.`,
    toDo: isAbsent
      ? 'Install optional dependencies: no --omit=optional, no --no-optional, and a lock file made with them.'
      : 'Install it on the machine where the server runs, if it has a build for that machine: see docs/platforms.md.'
  }
}

/** The C library of this process. A native library must be built for the same. */
function libcName(): string {
  if (usesMusl()) return 'musl'
  // Skip the network part of the report, which may look up names. Supported by Node 20.13 and newer.
  Object.assign(process.report, { excludeNetwork: true })
  const { header } = process.report.getReport() as { header?: { glibcVersionRuntime?: string } }
  return `glibc ${header?.glibcVersionRuntime ?? ''}`.trimEnd()
}

function checkChildren(): Finding {
  const name = 'children'
  if (canListChildren()) {
    return { name, severity: 'ok', says: 'This kernel lists the children of a process.' }
  }
  const says = 'This kernel does not list the children of a process.'
  const toDo = 'Run on a kernel with CONFIG_PROC_CHILDREN; sandboxes such as gVisor have none.'
  return { name, severity: 'problem', says, toDo }
}

function checkSubreaper(native: NativeCalls): Finding {
  const name = 'subreaper'
  if (native.becomeOrphanAdopter()) {
    return { name, severity: 'ok', says: 'This kernel lets a process be the parent of all orphans below it.' }
  }
  const says = 'This kernel refuses PR_SET_CHILD_SUBREAPER.'
  return { name, severity: 'problem', says, toDo: 'Look for a seccomp profile that forbids prctl.' }
}

function checkPidfd(native: NativeCalls): Finding {
  const name = 'pidfd'
  const descriptor = native.holdProcess(process.pid)
  if (descriptor !== undefined) {
    closeSync(descriptor)
    return { name, severity: 'ok', says: 'A pidfd can hold a process: it never means another one.' }
  }
  const says =
    'There is no pidfd: a process that the keeper did not start is signalled by its pid, which may have been ' +
    'reused a moment before.'
  const toDo = 'Run on Linux 5.3 or newer, without a seccomp profile that forbids pidfd_open.'
  return { name, severity: 'note', says, toDo }
}
