/** Lists the children of a process. */

import type { ProcessStat } from '../platform.js'
import { numbersIn, readProc } from './read-proc.js'

/**
 * The children of all threads of a process, zombies included. The kernel may omit one if others end during
 * the read (proc_tid_children(5)), so a proof needs more than one read.
 */
export function childrenOf({ pid, threads }: Pick<ProcessStat, 'pid' | 'threads'>): number[] {
  if (threads <= 1) return childrenOfMainThread(pid)
  const children: number[] = []
  for (const thread of numbersIn(`/proc/${pid}/task`)) pushChildren(children, pid, thread)
  return children
}

/** The children of the main thread of a process. It is the main thread of a subreaper that adopts orphans. */
export function childrenOfMainThread(pid: number): number[] {
  const children: number[] = []
  pushChildren(children, pid, pid)
  return children
}

/** Whether this kernel lists children by parent (CONFIG_PROC_CHILDREN; gVisor does not). */
export function canListChildren(): boolean {
  return readProc(`/proc/${process.pid}/task/${process.pid}/children`) !== undefined
}

function pushChildren(children: number[], pid: number, thread: number): void {
  const text = readProc(`/proc/${pid}/task/${thread}/children`)
  if (text === undefined) return
  for (const child of text.split(' ')) if (child !== '') children.push(Number(child))
}
