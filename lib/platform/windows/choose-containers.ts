/** Chooses the best containers that this process can have: job objects, or what `taskkill` can do. */

import type { Containers } from '../containers.js'
import { statOf } from './process-list.js'
import { treeContainers } from './tree-containers.js'

export async function loadContainers(): Promise<Containers> {
  return treeContainers('koffi is missing')
}

/** Unlike elsewhere, a process keeps the pid of its parent when that has ended. */
export function isParentGone(parent: number): boolean {
  return statOf(parent) === undefined
}
