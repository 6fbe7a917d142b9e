/** A look at the environments of this user's processes: who carries a mark, and whose keepers live. */

import {
  allPids,
  environmentOf,
  environmentTextOf,
  isSetuid,
  ownerOf,
  usersOf,
  variableIn
} from '../platform/current.js'
import { keeperMarkName, markName } from '../wire/mark.js'

export interface MarkedProcesses {
  /** What each process has for a mark, by pid. It may be anything: who starts a process chooses its environment. */
  readonly marks: ReadonlyMap<number, string>
  /** The mark of its worker for each living keeper, by pid. */
  readonly keepers: ReadonlyMap<number, string>
  /** The processes of `marks` that another user may have started: what they say of themselves protects nobody. */
  readonly untrusted: ReadonlySet<number>
}

// Both variables begin with it: most environments need not be searched twice.
const prefix = 'SUBPROCESS_GUARD_'

/** Reads the environment of every process of this user, and of no other one. */
export function findMarkedProcesses(): MarkedProcesses {
  const uid = process.geteuid?.()
  const marks = new Map<number, string>()
  const keepers = new Map<number, string>()
  const strangers = new Set<number>()
  for (const pid of allPids()) {
    if (ownerOf(pid) !== uid) continue
    const text = environmentTextOf(pid)
    if (!text?.includes(prefix)) continue
    const mark = variableIn(text, markName)
    const keeperMark = variableIn(text, keeperMarkName)
    if (mark !== undefined) marks.set(pid, mark)
    if (!isByThisUser(pid)) strangers.add(pid)
    else if (keeperMark !== undefined) keepers.set(pid, keeperMark)
  }
  return { marks, keepers, untrusted: strangers }
}

/** Whether a living process of that user carries that mark. Two looks: one may miss a process that is born during it. */
export function isMarkInUse(mark: string, user: number): boolean {
  const isByIt = (pid: number): boolean => ownerOf(pid) === user && environmentOf(pid, markName) === mark
  return allPids().some(isByIt) || allPids().some(isByIt)
}

/**
 * Whether nobody but this user can have started it, and so chosen its environment. Anybody may start a setuid program, which
 * then runs with the rights of its owner, often all of them.
 */
function isByThisUser(pid: number): boolean {
  const users = usersOf(pid)
  return users?.real === process.getuid?.() && users?.effective === process.geteuid?.() && !isSetuid(pid)
}
