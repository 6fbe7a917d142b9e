/** Finds living processes by a mark in their environment on Linux, from `/proc` and without `ps`. */

import { readdirSync, readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { markName, type ProcessRow } from './process-row.js'

/** How memory is measured. Pss divides a page between the processes that share it, so sums are correct. */
export const memoryKind = read('self/smaps_rollup') === undefined ? 'RssAnon' : 'Pss'

// A process takes a moment to free its memory.
const endPauseMs = 10
const mostEndRounds = 300

/** The living processes whose mark begins with this text. */
export function pidsOf(mark: string): number[] {
  return readdirSync('/proc')
    .map(Number)
    .filter((pid) => hasMark(pid, mark) && isAlive(pid))
}

/** Whether the process is alive. A zombie is not: it has no memory, and only waits to be reaped. */
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

/** Kills the processes whose mark begins with this text until none is left. Returns how many are left. */
export function killMarked(mark: string): number {
  for (let round = 0; round < mostEndRounds; round++) {
    const pids = pidsOf(mark)
    if (pids.length === 0) return 0
    for (const pid of pids) if (hasMark(pid, mark)) kill(pid)
    // Blocks on purpose: this also runs on Ctrl-C, right before the demo exits.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, endPauseMs)
  }
  return pidsOf(mark).length
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // ESRCH: it has just ended. After any other error, it is found and counted in the next round.
  }
}

function hasMark(pid: number, mark: string): boolean {
  if (!Number.isInteger(pid)) return false
  const environment = read(`${pid}/environ`)
  return environment?.split('\0').some((entry) => entry.startsWith(`${markName}=${mark}`)) ?? false
}

/** The fields of `/proc/<pid>/stat` after the name, which is in parentheses and may contain spaces. */
function statOf(pid: number): string[] | undefined {
  const text = read(`${pid}/stat`)
  return text?.slice(text.lastIndexOf(')') + 2).split(' ')
}

function memoryOf(pid: number): number {
  const text = read(memoryKind === 'Pss' ? `${pid}/smaps_rollup` : `${pid}/status`)
  const kilobytes = text?.match(new RegExp(`^${memoryKind}:\\s+(\\d+) kB`, 'm'))?.[1]
  return Number(kilobytes ?? 0) * 1024
}

/** The command line, with the base names of absolute paths. */
function commandOf(pid: number): string {
  const words = read(`${pid}/cmdline`)?.replace(/\0+$/, '').split('\0') ?? []
  return words.map((word) => (word.startsWith('/') ? basename(word) : word.replaceAll(/\s+/g, ' '))).join(' ')
}

function read(path: string): string | undefined {
  try {
    return readFileSync(`/proc/${path}`, 'utf8')
  } catch {
    // The process has ended, or belongs to another user.
    return undefined
  }
}
