/** Reads `/proc` without the code of the library: a benchmark must not trust the code that it measures. */

import { readFileSync } from 'node:fs'

export interface ProcessStat {
  readonly pid: number
  readonly state: string
  readonly group: number
  readonly session: number
  /** Together with the pid, this identifies one process. */
  readonly startTick: string
}

/** Undefined if there is no process with this pid. */
export function statOf(pid: number): ProcessStat | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
    const [state, , group, session] = fields as [string, string, string, string]
    return { pid, state, group: Number(group), session: Number(session), startTick: fields[19] as string }
  } catch {
    return undefined
  }
}

/** Whether this process is alive, and not another one that reused its pid. A zombie is not alive. */
export function isAlive({ pid, startTick }: Pick<ProcessStat, 'pid' | 'startTick'>): boolean {
  const now = statOf(pid)
  return now !== undefined && now.startTick === startTick && now.state !== 'Z' && now.state !== 'X'
}

/** Sends SIGKILL to a process that was checked a moment ago. */
export function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It has ended since then.
  }
}
