/** Reads `/proc/<pid>/stat`: what identifies a process, its place in the process tree, and its state. */

import type { ProcessStat } from '../platform.js'
import { readProc } from './read-proc.js'

// Up to the last field that is used here.
const fieldsRead = 26
// qemu's user mode makes up what a process reads about itself in /proc/<pid>/stat, with a start time that no
// other process sees, and in no other file.
const ownPath = `/proc/${process.pid}/task/${process.pid}/stat`

/**
 * The name in `/proc/<pid>/stat`, and the fields after it, of which the first is the state
 * (proc_pid_stat(5)).
 */
export interface StatFields {
  readonly name: string
  readonly fields: readonly string[]
}

/** Reads a process. Undefined if there is none with that pid. */
export function statOf(pid: number): ProcessStat | undefined {
  const stat = readStat(pid)
  if (stat === undefined) return undefined
  const { name, fields } = stat
  const state = fields[0] ?? '?'
  const threads = Number(fields[17])
  // A process whose main thread has ended shows as a zombie while its other threads run on.
  const alive = (state !== 'Z' && state !== 'X') || threads > 1
  return {
    pid,
    name,
    state,
    parent: Number(fields[1]),
    group: Number(fields[2]),
    session: Number(fields[3]),
    startTick: Number(fields[19]),
    cpuTicks: Number(fields[11]) + Number(fields[12]),
    waitedCpuTicks: Number(fields[13]) + Number(fields[14]),
    residentPages: Number(fields[21]),
    threads,
    // Where the kernel has put the program's code (start, end) and its stack.
    image: `${fields[23]} ${fields[24]} ${fields[25]}`,
    alive,
    ending: !alive || (fields[20] === '0' && threads <= 1)
  }
}

/**
 * Whether a process has memory but no code yet: the kernel sets the code's place at the end of an exec, after
 * the environment (load_elf_binary in fs/binfmt_elf.c). A zombie and a kernel thread have no memory. If
 * hidden, the place is given as 1.
 */
export function isInExec(pid: number): boolean {
  const fields = readStat(pid)?.fields
  return fields !== undefined && Number(fields[20]) > 0 && fields[23] === '0'
}

/** Undefined if there is no process with that pid. */
export function readStat(pid: number): StatFields | undefined {
  const text = readProc(pid === process.pid ? ownPath : `/proc/${pid}/stat`)
  if (text === undefined || text === '') return undefined
  // The name is in brackets and may itself contain brackets and blanks: the last bracket closes it.
  const nameEnd = text.lastIndexOf(')')
  return {
    name: text.slice(text.indexOf('(') + 1, nameEnd),
    fields: text.slice(nameEnd + 2).split(' ', fieldsRead)
  }
}
