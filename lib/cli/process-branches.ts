/** Processes as a tree. */

import type { ScopeProcess } from '../platform/current.js'

/** A process, and where it hangs in the tree. */
export interface Branch {
  readonly process: ScopeProcess
  /** From the root down to it, for each process but the root, and at most 50: whether it is the last child of its parent. */
  readonly isLast: readonly boolean[]
}

// What hangs deeper is drawn as deep: nobody could read it.
const mostDrawn = 50

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
  // Without recursion: a chain of processes may be longer than the stack is deep.
  const branches: Branch[] = []
  const waiting = (childrenOf.get(undefined) ?? [])
    .map((process) => ({ process, isLast: [] as boolean[] }))
    .reverse()
  for (let branch = waiting.pop(); branch !== undefined; branch = waiting.pop()) {
    branches.push(branch)
    const { process, isLast } = branch
    const children = childrenOf.get(process.pid) ?? []
    const below = children.map((child, index) => ({
      process: child,
      isLast: isLast.length < mostDrawn ? [...isLast, index === children.length - 1] : isLast
    }))
    for (const branch of below.reverse()) waiting.push(branch)
  }
  return branches
}
