/** What the kernel says of a process, read anew here: a benchmark does not trust the code that it measures. */

import { readFileSync } from 'node:fs'

export interface ProcessStat {
  readonly pid: number
  readonly state: string
  readonly group: number
  readonly session: number
  /** With the pid it names one process. */
  readonly startTick: string
}

/** Undefined when there is none of that number. */
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

/** Whether that process, and no other one of its number, is alive. A zombie is not. */
export function isAlive({ pid, startTick }: Pick<ProcessStat, 'pid' | 'startTick'>): boolean {
  const now = statOf(pid)
  return now !== undefined && now.startTick === startTick && now.state !== 'Z' && now.state !== 'X'
}

/** SIGKILL to a process that was looked at a moment ago. */
export function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It has ended since.
  }
}
