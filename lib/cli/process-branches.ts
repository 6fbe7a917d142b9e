/** Arranges processes as a tree, for `subprocess-guard ps`. */

import type { ScopeProcess } from '../platform/current.js'

/** A process and its place in the tree. */
export interface Branch {
  readonly process: ScopeProcess
  /**
   * For each process on the way from the root to this one, without the root: whether it is the last child of
   * its parent. At most 50 entries.
   */
  readonly isLast: readonly boolean[]
}

// Deeper processes are drawn at this depth: a deeper tree would not be readable.
const maxDepth = 50

/** Parents come before children, siblings in order of pid. A process whose parent is missing is a root. */
export function branchesOf(processes: readonly ScopeProcess[]): Branch[] {
  const pids = new Set(processes.map(({ pid }) => pid))
  const childrenOf = new Map<number | undefined, ScopeProcess[]>()
  for (const process of [...processes].sort((one, other) => one.pid - other.pid)) {
    const parent = pids.has(process.parent) ? process.parent : undefined
    const siblings = childrenOf.get(parent)
    if (siblings === undefined) childrenOf.set(parent, [process])
    else siblings.push(process)
  }
  // No recursion: a chain of processes may be longer than the call stack allows.
  const branches: Branch[] = []
  const stack = (childrenOf.get(undefined) ?? [])
    .map((process) => ({ process, isLast: [] as boolean[] }))
    .reverse()
  for (let branch = stack.pop(); branch !== undefined; branch = stack.pop()) {
    branches.push(branch)
    const { process, isLast } = branch
    const children = childrenOf.get(process.pid) ?? []
    const below = children.map((child, index) => ({
      process: child,
      isLast: isLast.length < maxDepth ? [...isLast, index === children.length - 1] : isLast
    }))
    for (const branch of below.reverse()) stack.push(branch)
  }
  return branches
}
