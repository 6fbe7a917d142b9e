/** What is alive: processes that carry a mark in their environment, read from `/proc` without `ps`. */

import { readdirSync, readFileSync } from 'node:fs'
import { basename } from 'node:path'

/** The variable that the route gives to what it starts. All that is started in turn inherits it. */
export const markName = 'DEMO_REQUEST'

/** One line of a table. */
export interface ProcessRow {
  readonly pid: number
  readonly parent: number
  readonly bytes: number
  readonly command: string
}

/** How memory is measured. Pss shares a page that three processes use between the three, so sums are true. */
export const memoryKind = read('self/smaps_rollup') === undefined ? 'RssAnon' : 'Pss'

// An ended process takes a moment to give its memory back.
const endPauseMs = 10
const mostEndLooks = 300

/** The living processes whose mark begins so. */
export function pidsOf(mark: string): number[] {
  return readdirSync('/proc')
    .map(Number)
    .filter((pid) => carries(pid, mark) && isAlive(pid))
}

/** Whether the process runs. A zombie does not: it is a line in its parent's book, and holds no memory. */
export function isAlive(pid: number): boolean {
  const state = statOf(pid)?.[0]
  return state !== undefined && state !== 'Z' && state !== 'X'
}

export function rowsOf(pids: readonly number[]): ProcessRow[] {
  return pids.flatMap((pid) => {
    const stat = statOf(pid)
    if (stat === undefined) return []
    return [{ pid, parent: Number(stat[1]), bytes: memoryOf(pid), command: commandOf(pid) }]
  })
}

/** Kills the processes whose mark begins so, and no others, until none is left. Returns how many are. */
export function killMarked(mark: string): number {
  for (let look = 0; look < mostEndLooks; look++) {
    const pids = pidsOf(mark)
    if (pids.length === 0) return 0
    for (const pid of pids) if (carries(pid, mark)) kill(pid)
    // Blocks on purpose: this runs on Ctrl-C, too, right before the demo exits.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, endPauseMs)
  }
  return pidsOf(mark).length
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // ESRCH: it has just ended. Whatever else is wrong, it is found again and counted.
  }
}

function carries(pid: number, mark: string): boolean {
  if (!Number.isInteger(pid)) return false
  const environment = read(`${pid}/environ`)
  return environment?.split('\0').some((entry) => entry.startsWith(`${markName}=${mark}`)) ?? false
}

/** The fields of `/proc/<pid>/stat` after the name, which is in brackets and may hold blanks. */
function statOf(pid: number): string[] | undefined {
  const text = read(`${pid}/stat`)
  return text?.slice(text.lastIndexOf(')') + 2).split(' ')
}

function memoryOf(pid: number): number {
  const text = read(memoryKind === 'Pss' ? `${pid}/smaps_rollup` : `${pid}/status`)
  const kilobytes = text?.match(new RegExp(`^${memoryKind}:\\s+(\\d+) kB`, 'm'))?.[1]
  return Number(kilobytes ?? 0) * 1024
}

/** The command line, without the folders that its words are in. */
function commandOf(pid: number): string {
  const words = read(`${pid}/cmdline`)?.replace(/\0+$/, '').split('\0') ?? []
  return words.map((word) => (word.startsWith('/') ? basename(word) : word.replaceAll(/\s+/g, ' '))).join(' ')
}

function read(path: string): string | undefined {
  try {
    return readFileSync(`/proc/${path}`, 'utf8')
  } catch {
    // It has ended, or is another user's.
    return undefined
  }
}
