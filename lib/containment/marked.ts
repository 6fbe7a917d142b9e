/** A look at the environments of this user's processes: who carries a mark, and whose keepers live. */

import { keeperMarkName, markName } from '../mark.js'
import { allPids, environmentTextOf, ownerOf, variableIn } from '../platform/linux.js'

export interface MarkedProcesses {
  /** What each process has for a mark, by pid. It may be anything: who starts a process chooses its environment. */
  readonly marks: ReadonlyMap<number, string>
  /** The mark of its worker for each living keeper, by pid. */
  readonly keepers: ReadonlyMap<number, string>
}

// Both variables begin with it: most environments need not be searched twice.
const prefix = 'SUBPROCESS_GUARD_'

/** Reads the environment of every process of this user, and of no other one. */
export function lookForMarks(): MarkedProcesses {
  const uid = process.geteuid?.()
  const marks = new Map<number, string>()
  const keepers = new Map<number, string>()
  for (const pid of allPids()) {
    if (ownerOf(pid) !== uid) continue
    const text = environmentTextOf(pid)
    if (!text?.includes(prefix)) continue
    const mark = variableIn(text, markName)
    const keeperMark = variableIn(text, keeperMarkName)
    if (mark !== undefined) marks.set(pid, mark)
    if (keeperMark !== undefined) keepers.set(pid, keeperMark)
  }
  return { marks, keepers }
}
