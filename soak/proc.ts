/** What `/proc` says of processes, read anew here: the soak does not trust the code that it tests. */

import { readdirSync, readFileSync, readlinkSync } from 'node:fs'

export interface Stat {
  readonly pid: number
  readonly name: string
  readonly parent: number
  readonly session: number
  /** With the pid it names one process. */
  readonly startTick: number
  /** A zombie runs no more, but its parent has not taken notice of its end. */
  readonly isZombie: boolean
}

// USER_HZ is 100 on every architecture that Node runs on (time(7)).
const msPerTick = 10
const longestCommand = 90

export function pids(): number[] {
  return readdirSync('/proc').map(Number).filter(Number.isInteger)
}

/** Undefined when there is no process of that number. */
export function statOf(pid: number): Stat | undefined {
  const text = read(`/proc/${pid}/stat`)
  if (text === undefined) return undefined
  // The name is in brackets, and may hold brackets and blanks itself.
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
    // One whose main thread has ended shows as a zombie while its other threads run on.
    isZombie: state === 'Z' && Number(fields[17]) <= 1
  }
}

/** The command line, for a person to read; the name in brackets when there is none. */
export function commandOf({ pid, name }: Stat): string {
  const text = read(`/proc/${pid}/cmdline`)?.replaceAll('\0', ' ').replaceAll(/\s+/g, ' ').trim()
  if (!text) return `[${name}]`
  return text.length > longestCommand ? `${text.slice(0, longestCommand - 1)}…` : text
}

export function ageMsOf({ startTick }: Stat): number {
  const uptimeMs = Number(read('/proc/uptime')?.split(' ')[0]) * 1_000
  return Math.max(0, Math.round(uptimeMs - startTick * msPerTick))
}

/** What the descriptors of a process lead to, by number; undefined when it is gone. */
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
      // Closed since, as that of the list itself is.
    }
  }
  return descriptors
}

/** Memory that a process shares with no other, in bytes; undefined when it is gone. */
export function privateBytesOf(pid: number): number | undefined {
  const rollup = read(`/proc/${pid}/smaps_rollup`)
  if (rollup !== undefined) {
    const kilobytes = [...rollup.matchAll(/^Private_\w+:\s+(\d+) kB$/gm)].map(([, size]) => Number(size))
    return kilobytes.reduce((sum, size) => sum + size, 0) * 1_024
  }
  // A kernel before 4.14, or one that hides it: resident without what lies in files.
  const [, kilobytes] = /^RssAnon:\s+(\d+) kB$/m.exec(read(`/proc/${pid}/status`) ?? '') ?? []
  return kilobytes === undefined ? undefined : Number(kilobytes) * 1_024
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    // It has ended, or is another user's.
    return undefined
  }
}
