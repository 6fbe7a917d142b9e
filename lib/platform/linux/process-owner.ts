/** Tells which users a process acts for. */

import { statSync } from 'node:fs'
import { readProc, undefinedIfHidden } from './read-proc.js'

/**
 * The apparent owner of a process, found without opening a file: its effective user, or root if other users
 * may not inspect it (proc_pid(5)). Undefined if there is no process with that pid.
 */
export function ownerOf(pid: number): number | undefined {
  try {
    return statSync(`/proc/${pid}`, { throwIfNoEntry: false })?.uid
  } catch (error) {
    return undefinedIfHidden(error)
  }
}

/** The real and the effective user of a process. Undefined if hidden. */
export function usersOf(pid: number): { real: number; effective: number } | undefined {
  const [, real, effective] = /^Uid:\s+(\d+)\s+(\d+)/m.exec(readProc(`/proc/${pid}/status`) ?? '') ?? []
  return real === undefined ? undefined : { real: Number(real), effective: Number(effective) }
}

/** Whether the program of a process runs with the rights of the file's owner. True if hidden or gone. */
export function isSetuid(pid: number): boolean {
  try {
    return (statSync(`/proc/${pid}/exe`).mode & 0o4000) !== 0
  } catch {
    return true
  }
}
