/** Processes as a tree. */

import type { ScopeProcess } from '../platform/linux.js'

/** A process, and where it hangs in the tree. */
export interface Branch {
  readonly process: ScopeProcess
  /** From the root down to it, for each process but the root: whether it is the last child of its parent. */
  readonly isLast: readonly boolean[]
}

/** Parents before their children, siblings by number. Whose parent is not among them is a root. */
export function branchesOf(processes: readonly ScopeProcess[]): Branch[] {
  const numbers = new Set(processes.map(({ pid }) => pid))
  const childrenOf = new Map<number | undefined, ScopeProcess[]>()
  for (const process of [...processes].sort((one, other) => one.pid - other.pid)) {
    const parent = numbers.has(process.parent) ? process.parent : undefined
    const siblings = childrenOf.get(parent)
    if (siblings === undefined) childrenOf.set(parent, [process])
    else siblings.push(process)
  }
  const branches: Branch[] = []
  const addChildren = (parent: number | undefined, above: readonly boolean[]): void => {
    const children = childrenOf.get(parent) ?? []
    for (const [index, process] of children.entries()) {
      const isLast = parent === undefined ? [] : [...above, index === children.length - 1]
      branches.push({ process, isLast })
      addChildren(process.pid, isLast)
    }
  }
  addChildren(undefined, [])
  return branches
}
