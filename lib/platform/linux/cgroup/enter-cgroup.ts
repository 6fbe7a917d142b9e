/**
 * Starts processes in a cgroup where the C library cannot: this process enters the cgroup, starts them, and
 * returns. The kernel may take 15 ms to let a process with threads enter, and this process waits.
 */

import { join } from 'node:path'
import { CgroupError } from '../../cgroup-error.js'
import { write } from './cgroup-folder.js'
import { ownCgroup } from './own-cgroup.js'

/** Runs `act` in a cgroup: what it starts is born there. Throws a `CgroupError` if it cannot be entered. */
export function insideCgroup<Result>(folder: string, act: () => Result): Result {
  const home = homeFolder()
  try {
    enter(folder)
  } catch (error) {
    throw new CgroupError(folder, error)
  }
  try {
    return act()
  } finally {
    leaveTo(home)
  }
}

/** Moves a process to the cgroup of this process. What it starts from now on is there, too. */
export function moveToOwnCgroup(pid: number): void {
  write(join(homeFolder(), 'cgroup.procs'), `${pid}`)
}

function homeFolder(): string {
  const own = ownCgroup()
  if (own === undefined) throw new Error('the cgroup of this process is not visible any more')
  return own.folder
}

/** 0 means the process that writes it, with all its threads. */
function enter(folder: string): void {
  write(join(folder, 'cgroup.procs'), '0')
}

/**
 * If there is no way back, this process would be ended with the scope, or freeze itself for ever. So it ends
 * now: whoever depends on it knows what to do then.
 */
function leaveTo(folder: string): void {
  try {
    enter(folder)
  } catch (error) {
    console.error(`the cgroup ${folder} cannot be entered again: ${(error as Error).message}`)
    process.kill(process.pid, 'SIGKILL')
  }
}
