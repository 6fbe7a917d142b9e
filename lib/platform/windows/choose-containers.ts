/** Chooses the best containers that this process can have: job objects, or what `taskkill` can do. */

import type { Containers } from '../containers.js'
import { jobContainers } from './job-containers.js'
import { statOf, useProcessList } from './process-list.js'
import { treeContainers } from './tree-containers.js'
import { loadWindowsCalls } from './windows-calls.js'

let hasParentEnded: (() => boolean) | undefined

/** Loads the containers for a keeper, which is a child of its worker. */
export async function loadContainers(): Promise<Containers> {
  const calls = await loadWindowsCalls()
  if (calls instanceof Error) return treeContainers(`koffi could not be loaded: ${calls.message}`)
  useProcessList(calls.listProcesses)
  // Held open, so that no other process gets the pid of the worker.
  const worker = calls.openProcess(process.ppid)
  if (worker !== undefined) hasParentEnded = () => calls.hasEnded(worker)
  // Commands share the console of the worker, if it has one, as without a keeper.
  calls.joinConsoleOf(process.ppid)
  return jobContainers(calls)
}

/** Unlike elsewhere, a process keeps the pid of its parent when that has ended. */
export function isParentGone(parent: number): boolean {
  return hasParentEnded?.() ?? statOf(parent) === undefined
}
