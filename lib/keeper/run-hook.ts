/**
 * The process that checks or runs one module of hooks. It is no thread: there a hook that exhausts its heap
 * ends the keeper too, since V8 aborts the whole process when a single allocation finds no room.
 */

import { type ChildProcess, fork } from 'node:child_process'
import { reapedByNode } from '../containment/reap-children.js'
import { keeperMarkName } from '../wire/mark.js'
import type { WorkerHooks, WorkerInfo } from '../wire/worker-info.js'

/** By which the keeper's file knows that it is to run a hook. */
export const hookArgument = 'hook'
const heapMb = 64
// SIGKILL works at once, but for a process in uninterruptible sleep, or one that took another user's rights.
const killedWithinMs = 1_000

export type HookName = keyof WorkerHooks

export type HookOrder =
  | { readonly type: 'check'; readonly url: string }
  | { readonly type: 'run'; readonly url: string; readonly hook: HookName; readonly info: WorkerInfo }

export type HookAnswer =
  /** The order was carried out; these hooks the module has. */
  | { readonly type: 'done'; readonly hooks: readonly HookName[] }
  | { readonly type: 'failed'; readonly why: string }

/** Carries an order out in a fresh process of the keeper's file. Resolves when that is gone, whatever it does, and never rejects. */
export function carryOut(entry: string, order: HookOrder, withinMs: number): Promise<HookAnswer> {
  let child: ChildProcess
  try {
    child = forkApart(entry)
  } catch (error) {
    // Node throws for want of memory; for want of processes 'error' follows.
    return Promise.resolve(failed(`its process could not be started: ${(error as Error).message}`))
  }
  const { pid } = child
  if (pid !== undefined) reapedByNode.add(pid)
  return new Promise((resolve) => {
    let answer: HookAnswer | undefined
    let killed: NodeJS.Timeout | undefined
    const settle = (outcome: HookAnswer): void => {
      clearTimeout(late)
      clearTimeout(killed)
      resolve(outcome)
    }
    const late = setTimeout(() => {
      // What went wrong before says more.
      if (answer?.type !== 'failed') answer = failed(`it did not end within ${withinMs} ms`)
      killGroupOf(child)
      killed = setTimeout(
        () => settle(failed(`it did not end within ${withinMs} ms, nor of SIGKILL`)),
        killedWithinMs
      )
    }, withinMs)
    child.on('message', (message) => {
      answer ??= message as HookAnswer
    })
    child.on('error', (error) => {
      if (pid === undefined) settle(failed(`its process could not be started: ${error.message}`))
    })
    child.once('exit', () => {
      if (pid !== undefined) reapedByNode.delete(pid)
    })
    // 'exit' may come before the last message; 'close' comes after both.
    child.once('close', (code, signal) => settle(answer ?? failed(howItEnded(code, signal))))
    // An order that cannot be delivered has found its process gone: 'close' says so.
    if (pid !== undefined) child.send(order, () => {})
  })
}

function forkApart(entry: string): ChildProcess {
  // What searches for keepers must not take it, or what it has started, for one.
  const { [keeperMarkName]: _, ...env } = process.env
  return fork(entry, [hookArgument], {
    env,
    // The keeper's own flags are not for it.
    execArgv: [`--max-old-space-size=${heapMb}`],
    // The worker's streams themselves: one that nobody reads holds up the hook, and not the keeper.
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    // A group of its own, to be ended as a whole.
    detached: true
  })
}

/** Ends the process with what it has started, short of what left its group. */
function killGroupOf(child: ChildProcess): void {
  // The number of the group is certain only until its leader is collected.
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
  try {
    process.kill(-child.pid, 'SIGKILL')
  } catch {
    // It may not be signalled: it is given up below, and named.
  }
}

function howItEnded(code: number | null, signal: NodeJS.Signals | null): string {
  if (signal === null) return `its process ended itself with status ${code} before it was done`
  return `its process was ended by ${signal} before it was done (more than ${heapMb} MB of heap end it, too)`
}

function failed(why: string): HookAnswer {
  return { type: 'failed', why }
}
