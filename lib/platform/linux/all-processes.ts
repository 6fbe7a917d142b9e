/** Lists all processes that `/proc` shows to this user. */

import { type Dir, opendirSync, readlinkSync } from 'node:fs'
import { isOutOfDescriptors } from '../out-of-descriptors.js'
import type { ProcessStat } from '../platform.js'
import { statOf } from './process-stat.js'
import { numbersIn } from './read-proc.js'

/** The pids of all visible processes. */
export function allPids(): number[] {
  return numbersIn('/proc')
}

/**
 * The same, a few at a time. Not by Node's thread pool: Node aborts if the system has no room for its
 * threads.
 */
export function* eachPid(): Generator<number> {
  let folder: Dir
  try {
    folder = opendirSync('/proc')
  } catch (error) {
    if (!isOutOfDescriptors(error)) throw error
    return yield* allPids()
  }
  try {
    for (let entry = folder.readSync(); entry !== null; entry = folder.readSync()) {
      const number = Number(entry.name)
      if (Number.isInteger(number)) yield number
    }
  } finally {
    folder.closeSync()
  }
}

/** All visible processes, except those that are left out. */
export function allProcesses(isLeftOut: (pid: number) => boolean = () => false): ProcessStat[] {
  const processes: ProcessStat[] = []
  for (const pid of allPids()) {
    if (isLeftOut(pid)) continue
    const stat = statOf(pid)
    if (stat !== undefined) processes.push(stat)
  }
  return processes
}

/**
 * Whether `/proc` belongs to this PID namespace. If not, its numbers are other pids than those of this
 * process.
 */
export function listsOwnPids(): boolean {
  try {
    return readlinkSync('/proc/self') === String(process.pid)
  } catch {
    // No /proc is mounted.
    return false
  }
}
