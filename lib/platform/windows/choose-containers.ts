/** Chooses the best containers that this process can have: job objects, or what `taskkill` can do. */

import type { Containers } from '../containers.js'
import { jobContainers } from './job-containers.js'
import { statOf, useProcessList } from './process-list.js'
import { treeContainers } from './tree-containers.js'
import { loadWindowsCalls, type WindowsCalls } from './windows-calls.js'

let hasParentEnded: (() => boolean) | undefined

let loading: Promise<Containers> | undefined

export function loadContainers(): Promise<Containers> {
  loading ??= load()
  return loading
}

async function load(): Promise<Containers> {
  const calls = await loadWindowsCalls()
  if (calls instanceof Error) return treeContainers(`koffi could not be loaded: ${calls.message}`)
  // A call of the system into a runtime that has ended would be an abort.
  process.once('exit', calls.stopWaiting)
  useProcessList(calls.listProcesses, (pid) => commandLineOf(calls, pid))
  return {
    ...jobContainers(calls),
    serve(worker) {
      // Held open, so that no other process gets its pid.
      const process = calls.openProcess(worker)
      if (process !== undefined) hasParentEnded = () => calls.hasEnded(process)
      // Commands share the console of the worker, if it has one, as without a keeper.
      calls.joinConsoleOf(worker)
    }
  }
}

/** Unlike elsewhere, a process keeps the pid of its parent when that has ended. */
export function isParentGone(parent: number): boolean {
  return hasParentEnded?.() ?? statOf(parent) === undefined
}

function commandLineOf(calls: WindowsCalls, pid: number): string | undefined {
  const process = calls.openProcess(pid)
  if (process === undefined) return undefined
  const line = calls.commandLineOfProcess(process)
  calls.closeHandle(process)
  return line
}
