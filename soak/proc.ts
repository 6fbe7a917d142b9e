/** Reads `/proc` without the code of the library: the soak must not trust the code that it tests. */

import { readdirSync, readFileSync, readlinkSync } from 'node:fs'

export interface Stat {
  readonly pid: number
  readonly name: string
  readonly parent: number
  readonly session: number
  /** Together with the pid, this identifies one process. */
  readonly startTick: number
  /** Whether it has ended and its parent has not reaped it. */
  readonly isZombie: boolean
}

// USER_HZ is 100 on every architecture that Node runs on (time(7)).
const msPerTick = 10
const longestCommand = 90

export function pids(): number[] {
  return readdirSync('/proc').map(Number).filter(Number.isInteger)
}

/** Undefined if there is no process with this pid. */
export function statOf(pid: number): Stat | undefined {
  const text = read(`/proc/${pid}/stat`)
  if (text === undefined) return undefined
  // The name is in parentheses, and may itself contain parentheses and spaces.
  const nameEnd = text.lastIndexOf(')')
  const fields = text.slice(nameEnd + 2).split(' ')
  const [state, parent, , session] = fields
  if (state === 'X') return undefined
  return {
    pid,
    name: text.slice(text.indexOf('(') + 1, nameEnd),
    parent: Number(parent),
    session: Number(session),
    startTick: Number(fields[19]),
    // A process whose main thread has ended has state Z, even while its other threads run.
    isZombie: state === 'Z' && Number(fields[17]) <= 1
  }
}

/** The command line in readable form; the name in brackets if there is none. */
export function commandOf({ pid, name }: Stat): string {
  const text = read(`/proc/${pid}/cmdline`)?.replaceAll('\0', ' ').replaceAll(/\s+/g, ' ').trim()
  if (!text) return `[${name}]`
  return text.length > longestCommand ? `${text.slice(0, longestCommand - 1)}…` : text
}

export function ageMsOf({ startTick }: Stat): number {
  const uptimeMs = Number(read('/proc/uptime')?.split(' ')[0]) * 1_000
  return Math.max(0, Math.round(uptimeMs - startTick * msPerTick))
}

/** What each file descriptor of a process refers to, by number; undefined if the process is gone. */
export function descriptorsOf(pid: number): Map<number, string> | undefined {
  let numbers: string[]
  try {
    numbers = readdirSync(`/proc/${pid}/fd`)
  } catch {
    return undefined
  }
  const descriptors = new Map<number, string>()
  for (const number of numbers) {
    try {
      descriptors.set(Number(number), readlinkSync(`/proc/${pid}/fd/${number}`))
    } catch {
      // Closed since then, like the descriptor of the directory listing itself.
    }
  }
  return descriptors
}

/** The private memory of a process, in bytes; undefined if it is gone. */
export function privateBytesOf(pid: number): number | undefined {
  const rollup = read(`/proc/${pid}/smaps_rollup`)
  if (rollup !== undefined) {
    const kilobytes = [...rollup.matchAll(/^Private_\w+:\s+(\d+) kB$/gm)].map(([, size]) => Number(size))
    return kilobytes.reduce((sum, size) => sum + size, 0) * 1_024
  }
  // Linux before 4.14, or hidden: the resident memory without mapped files.
  const [, kilobytes] = /^RssAnon:\s+(\d+) kB$/m.exec(read(`/proc/${pid}/status`) ?? '') ?? []
  return kilobytes === undefined ? undefined : Number(kilobytes) * 1_024
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    // The process has ended, or belongs to another user.
    return undefined
  }
}
