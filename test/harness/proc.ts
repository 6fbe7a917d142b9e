/** Reads processes from `/proc`, independently of the code under test. */

import { readdirSync, readFileSync } from 'node:fs'

export interface Stat {
  state: string
  parent: number
  group: number
  session: number
  startTick: string
  /** Used processor time, in clock ticks. */
  cpuTicks: number
  /** False if it has released its memory and is about to become a zombie. */
  hasMemory: boolean
  /**
   * True during its exec, when the new memory exists, but environment and command line are not in place yet.
   */
  isInExec: boolean
}

/** Identifies one process even if its pid is reused. */
export interface Identity {
  readonly pid: number
  /** Undefined if it had ended before. */
  readonly startTick: string | undefined
}

export function statOf(pid: number): Stat | undefined {
  const text = read(pid, 'stat')
  if (text === undefined) return undefined
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  const [memory, startOfCode] = [fields[20], fields[23]]
  return {
    state: fields[0] as string,
    parent: Number(fields[1]),
    group: Number(fields[2]),
    session: Number(fields[3]),
    startTick: fields[19] as string,
    cpuTicks: Number(fields[11]) + Number(fields[12]),
    hasMemory: memory !== '0',
    isInExec: memory !== '0' && startOfCode === '0'
  }
}

/** Whether a process with this pid has not ended. It may be stopped; a zombie has ended. */
export function lives(pid: number | undefined): boolean {
  return pid !== undefined && livingOf(pid).length === 1
}

/** The process with this pid, if it has not ended. */
export function livingOf(pid: number): Identity[] {
  const stat = statOf(pid)
  return stat === undefined || stat.state === 'Z' || stat.state === 'X'
    ? []
    : [{ pid, startTick: stat.startTick }]
}

export function identityOf(pid: number): Identity {
  return { pid, startTick: statOf(pid)?.startTick }
}

/** Whether this process, and not a later one with its pid, has not ended. */
export function isAlive({ pid, startTick }: Identity): boolean {
  return livingOf(pid).some((living) => living.startTick === startTick)
}

/** Kills a process that may have ended meanwhile. */
export function end(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

/** The environment that a process was started with. Empty for zombies and for processes of other users. */
export function environmentOf(pid: number): string[] {
  return listOf(pid, 'environ')
}

/** The command and arguments of a process. Empty for zombies. */
export function argumentsOf(pid: number): string[] {
  return listOf(pid, 'cmdline')
}

/** The children of a process, zombies included. Throws if there is no such process. */
export function childrenOf(pid: number): number[] {
  return numbersIn(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8'))
}

/** A process and its descendants, as far as they are alive. Any of them may end meanwhile. */
export function treeOf(pid: number): Identity[] {
  return [...livingOf(pid), ...numbersIn(read(pid, `task/${pid}/children`) ?? '').flatMap(treeOf)]
}

export function descriptorsOf(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length
}

function numbersIn(text: string): number[] {
  return text.split(' ').filter(Boolean).map(Number)
}

function listOf(pid: number, name: 'environ' | 'cmdline'): string[] {
  let text = read(pid, name)
  for (let wasInExec = true; text === '' && wasInExec; text = read(pid, name)) {
    // Check this before the next read: a process that is past its exec by then has both.
    wasInExec = statOf(pid)?.isInExec ?? false
  }
  return text ? text.replace(/\0$/, '').split('\0') : []
}

/** Undefined if it has ended, or belongs to another user. */
function read(pid: number, name: string): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/${name}`, 'utf8')
  } catch {
    return undefined
  }
}
