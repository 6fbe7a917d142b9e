/** What the kernel, and koffi in front of it, allow the keeper to do. */

import { closeSync } from 'node:fs'
import { canListChildren, type Libc, loadLibc } from '../../platform/current.js'
import type { Finding } from './finding.js'

/** Tries them in this process, which may be a subreaper itself then. With a problem, no keeper is one. */
export async function tryCalls(): Promise<Finding[]> {
  const loaded = await loadLibc()
  if (loaded instanceof Error) return [koffiMissing(loaded), findChildren()]
  const koffi = { name: 'koffi', severity: 'ok', says: 'koffi is installed and makes system calls.' } as const
  return [koffi, findChildren(), findSubreaper(loaded), findPidfd(loaded)]
}

function koffiMissing(error: Error): Finding {
  const { code } = error as NodeJS.ErrnoException
  const [problem] = error.message.split('\n')
  const isAbsent = code === 'ERR_MODULE_NOT_FOUND' && error.message.includes("'koffi'")
  return {
    name: 'koffi',
    severity: 'problem',
    says: isAbsent
      ? 'koffi is not installed, so that the keeper cannot become a subreaper.'
      : `koffi does not work on this ${process.arch} machine with ${libcName()}: ${problem}.`,
    toDo: isAbsent
      ? 'Install optional dependencies: no --omit=optional, no --no-optional, and a lock file made with them.'
      : 'Install anew where the server runs: koffi has another build for each kind of machine and libc.'
  }
}

/** Node is built for one or the other, and a library must be for the same. */
function libcName(): string {
  // Of no use here, and it may look names up. Node 20.13 and newer know it.
  Object.assign(process.report, { excludeNetwork: true })
  const { header } = process.report.getReport() as { header?: { glibcVersionRuntime?: string } }
  const version = header?.glibcVersionRuntime
  return version === undefined ? 'musl' : `glibc ${version}`
}

function findChildren(): Finding {
  const name = 'children'
  if (canListChildren()) {
    return { name, severity: 'ok', says: 'This kernel lists the children of a process.' }
  }
  const says = 'This kernel does not list the children of a process.'
  const toDo = 'Run on a kernel with CONFIG_PROC_CHILDREN; sandboxes such as gVisor have none.'
  return { name, severity: 'problem', says, toDo }
}

function findSubreaper(libc: Libc): Finding {
  const name = 'subreaper'
  if (libc.becomeSubreaper()) {
    return { name, severity: 'ok', says: 'This kernel lets a process be the parent of all orphans below it.' }
  }
  const says = 'This kernel refuses PR_SET_CHILD_SUBREAPER.'
  return { name, severity: 'problem', says, toDo: 'Look for a seccomp profile that forbids prctl.' }
}

function findPidfd(libc: Libc): Finding {
  const name = 'pidfd'
  const descriptor = libc.hold(process.pid)
  if (descriptor !== undefined) {
    closeSync(descriptor)
    return { name, severity: 'ok', says: 'Processes can be held by pidfd, which never means another one.' }
  }
  const says =
    'There is no pidfd: a process that the keeper did not start is signalled by its number, which another ' +
    'one may have been given a moment before.'
  const toDo = 'Run on Linux 5.3 or newer, without a seccomp profile that forbids pidfd_open.'
  return { name, severity: 'note', says, toDo }
}
