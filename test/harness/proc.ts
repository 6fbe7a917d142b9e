/** What `/proc` says of processes, read anew here: a test does not trust the code it tests. */

import { readdirSync, readFileSync } from 'node:fs'

export interface Stat {
  state: string
  parent: number
  group: number
  session: number
  startTick: string
  /** The processor time that it has used, in clock ticks. */
  cpuTicks: number
  /** False for one that has given its memory back and is about to be a zombie. */
  hasMemory: boolean
  /** In the moment of its exec when it has its new memory, and its environment and command are not there yet. */
  isInExec: boolean
}

/** One process, also when its number has been given out again. */
export interface Identity {
  readonly pid: number
  /** Undefined for one that had ended before it was looked at. */
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

/** Whether there is a process of that number that has not ended, be it stopped. A zombie has ended. */
export function lives(pid: number | undefined): boolean {
  return pid !== undefined && livingOf(pid).length === 1
}

/** The process of that number, if it has not ended. */
export function livingOf(pid: number): Identity[] {
  const stat = statOf(pid)
  return stat === undefined || stat.state === 'Z' || stat.state === 'X'
    ? []
    : [{ pid, startTick: stat.startTick }]
}

export function identityOf(pid: number): Identity {
  return { pid, startTick: statOf(pid)?.startTick }
}

/** Whether this very process has not ended. */
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

/** The entries of the environment that a process was started with. None for a zombie and for another user's. */
export function environmentOf(pid: number): string[] {
  return listOf(pid, 'environ')
}

/** The command and the arguments of a process. None for a zombie. */
export function argumentsOf(pid: number): string[] {
  return listOf(pid, 'cmdline')
}

/** The children of a process, zombies included. Throws when there is no such process. */
export function childrenOf(pid: number): number[] {
  return numbersIn(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8'))
}

/** The living of a process and all below it. Any of them may end meanwhile. */
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
    // Asked before the next look: what is past its exec by then has both.
    wasInExec = statOf(pid)?.isInExec ?? false
  }
  return text ? text.replace(/\0$/, '').split('\0') : []
}

/** Undefined when it has ended, or is another user's. */
function read(pid: number, name: string): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/${name}`, 'utf8')
  } catch {
    return undefined
  }
}
