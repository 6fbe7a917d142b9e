/** Finds processes by the marks in their environments: the subprocesses, and the keepers that are alive. */

import { platform } from '../platform/current.js'
import { keeperMarkName, markName } from '../wire/mark.js'

export interface MarkedProcesses {
  /** The mark of each process, by pid. It may be any text, since the parent chooses the environment. */
  readonly marks: ReadonlyMap<number, string>
  /** The living keepers: the worker mark of each, by pid. */
  readonly keepers: ReadonlyMap<number, string>
  /** The processes of `marks` that another user may have started. Their environments protect no process. */
  readonly untrusted: ReadonlySet<number>
}

// Both variables begin with it: most environments need only one search.
const prefix = 'SUBPROCESS_GUARD_'

/** Reads the environments of all processes of this user, and of no other user. */
export function findMarkedProcesses(): MarkedProcesses {
  const uid = process.geteuid?.()
  const marks = new Map<number, string>()
  const keepers = new Map<number, string>()
  const untrusted = new Set<number>()
  for (const pid of platform.allPids()) {
    if (platform.ownerOf(pid) !== uid) continue
    const text = platform.environmentTextOf(pid)
    if (!text?.includes(prefix)) continue
    const mark = platform.variableIn(text, markName)
    const keeperMark = platform.variableIn(text, keeperMarkName)
    if (mark !== undefined) marks.set(pid, mark)
    if (!isStartedByThisUser(pid)) untrusted.add(pid)
    else if (keeperMark !== undefined) keepers.set(pid, keeperMark)
  }
  return { marks, keepers, untrusted }
}

/** Whether a living process of the user has this mark. Two scans: one may miss a process being born. */
export function isMarkInUse(mark: string, user: number): boolean {
  const isMarked = (pid: number): boolean =>
    platform.ownerOf(pid) === user && platform.environmentOf(pid, markName) === mark
  return platform.allPids().some(isMarked) || platform.allPids().some(isMarked)
}

/**
 * Whether only this user can have started the process, and so chosen its environment. Any user may start a
 * setuid program, which then runs with the rights of the program's owner, often root.
 */
function isStartedByThisUser(pid: number): boolean {
  const users = platform.usersOf(pid)
  return (
    users?.real === process.getuid?.() && users?.effective === process.geteuid?.() && !platform.isSetuid(pid)
  )
}
