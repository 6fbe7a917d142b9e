/**
 * Starts the process that checks or runs one module of hooks, and kills it when it takes too long. A thread
 * would not do: V8 aborts the whole process when a single allocation finds no room, so a hook that exhausts
 * its heap would end the keeper, too.
 */

import { type ChildProcess, fork } from 'node:child_process'
import { reapedByNode } from '../containment/reap-children.js'
import { type Containers, platform } from '../platform/current.js'
import { keeperMarkName } from '../wire/mark.js'
import type { WorkerHooks, WorkerInfo } from '../wire/worker-info.js'

/** With this argument the keeper's file runs a hook. */
export const hookArgument = 'hook'
const heapMb = 64
// SIGKILL works at once, except in uninterruptible sleep, or if the process has become another user's.
const killedWithinMs = 1_000

export type HookName = keyof WorkerHooks

export type HookRequest =
  | { readonly type: 'check'; readonly url: string }
  | { readonly type: 'run'; readonly url: string; readonly hook: HookName; readonly info: WorkerInfo }

export type HookResult =
  /** The request was carried out. `hooks` are the hooks of the module. */
  | { readonly type: 'done'; readonly hooks: readonly HookName[] }
  | { readonly type: 'failed'; readonly why: string }

/**
 * Carries out a request in a new process of the keeper's file. Resolves when that process is gone, or 1 s
 * after it was sent SIGKILL. Never rejects.
 */
export function runHookProcess(
  entry: string,
  request: HookRequest,
  withinMs: number,
  containers?: Containers
): Promise<HookResult> {
  let child: ChildProcess
  try {
    child = forkHookProcess(entry)
  } catch (error) {
    // Node throws when it is out of memory. When there is no room for a process, it emits 'error'.
    return Promise.resolve(failed(`its process could not be started: ${(error as Error).message}`))
  }
  const { pid } = child
  if (pid !== undefined) reapedByNode.add(pid)
  // At once: it takes Node longer to start than this process to contain it.
  const container = pid === undefined ? undefined : containers?.adopt(pid)
  return new Promise((resolve) => {
    let result: HookResult | undefined
    let killTimeout: NodeJS.Timeout | undefined
    const finish = (outcome: HookResult): void => {
      clearTimeout(timeout)
      clearTimeout(killTimeout)
      // What it has left behind.
      container?.kill()
      container?.close()
      resolve(outcome)
    }
    const timeout = setTimeout(() => {
      // An earlier failure is more helpful.
      if (result?.type !== 'failed') result = failed(`it did not end within ${withinMs} ms`)
      if (container === undefined) killGroupOf(child)
      else container.kill()
      killTimeout = setTimeout(
        () => finish(failed(`it did not end within ${withinMs} ms, and survived SIGKILL`)),
        killedWithinMs
      )
    }, withinMs)
    child.on('message', (message) => {
      result ??= message as HookResult
    })
    child.on('error', (error) => {
      if (pid === undefined) finish(failed(`its process could not be started: ${error.message}`))
    })
    child.once('exit', () => {
      if (pid !== undefined) reapedByNode.delete(pid)
    })
    // 'exit' may come before the last message. 'close' comes after both.
    child.once('close', (code, signal) => finish(result ?? failed(exitReason(code, signal))))
    // If the request cannot be sent, the process is gone, and 'close' follows.
    if (pid !== undefined) child.send(request, () => {})
  })
}

function forkHookProcess(entry: string): ChildProcess {
  // Without the variable that marks a keeper: neither this process nor its children must be taken for one.
  const { [keeperMarkName]: _, ...env } = process.env
  return fork(entry, [hookArgument], {
    env,
    // Not the flags of the keeper.
    execArgv: [`--max-old-space-size=${heapMb}`],
    // The worker's own streams: if nothing reads them, the hook blocks and not the keeper.
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    // In a process group of its own, to be killed as a whole.
    detached: platform.hasSessions,
    // Its type lacks this option.
    ...{ windowsHide: true }
  })
}

/** Kills the process and its children, except those that have left its process group. */
function killGroupOf(child: ChildProcess): void {
  // The id of the group may be reused once its leader has been reaped.
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
  try {
    process.kill(-child.pid, 'SIGKILL')
  } catch {
    // It may not be signalled (EPERM). The caller gives up and reports it.
  }
}

function exitReason(code: number | null, signal: NodeJS.Signals | null): string {
  if (signal === null) return `its process exited with code ${code} before it was done`
  const possibly = `possibly for using more than ${heapMb} MB of heap`
  return `its process was ended by ${signal} before it was done (${possibly})`
}

function failed(why: string): HookResult {
  return { type: 'failed', why }
}
