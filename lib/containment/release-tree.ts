/** Moves a released process and its descendants from their scope to the released processes. */

import { isOutOfDescriptors, type ProcessStat, platform } from '../platform/current.js'
import type { KnownProcesses } from './known-processes.js'
import { visitTree } from './process-tree.js'
import type { ScopeRecord } from './scope-record.js'

/**
 * Moves a process of a scope and its tree, as that is now, to the released processes. A daemon that the
 * process starts later is recognised by its session, or not at all. Returns the pids.
 */
export function releaseTree(scope: ScopeRecord, released: KnownProcesses, root: number): number[] {
  const pids: number[] = []
  let leader: Pick<ProcessStat, 'startTick' | 'session'> | undefined
  try {
    const stat = platform.statOf(root)
    leader = stat
    visitTree(root, (pid) => {
      const now = pid === root ? stat : platform.statOf(pid)
      if (now === undefined || released.hasSeen(now)) return []
      released.remember(now)
      scope.release(pid)
      pids.push(pid)
      return platform.childrenOf(now)
    })
  } catch (error) {
    if (!isOutOfDescriptors(error)) throw error
    // What the process has begun is released with it all the same.
    leader ??= { startTick: 0, session: root }
  }
  // The process may call setsid() only after this.
  if (leader !== undefined) {
    const { startTick, session } = leader
    for (const group of scope.groupsOf(root)) {
      released.addGroup(group, { startTick, session: group === root ? root : session })
    }
  }
  return pids
}
