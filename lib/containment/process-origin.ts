/**
 * Decides whether a process with our mark is ours. The mark alone is no proof: services such as PM2, at(1) or
 * a session bus start programs with the environment of the process that requested it. Such a program descends
 * from the service.
 */

import { type ProcessStat, platform } from '../platform/current.js'
import type { OrphanAdopter } from './find-orphan-adopter.js'
import type { ProcessTree } from './process-tree.js'

/** `unclear`: something is changing, or a trial is running. A later scan decides. */
export type Origin = 'ours' | 'foreign' | 'unclear'

/** `marked`: the next ancestor decides. `unmarked`: nothing connects this ancestor with us. */
export type AncestorKind = 'ours' | 'foreign' | 'marked' | 'unmarked'

// The parent changes each time an ancestor ends during the search.
const mostSteps = 100_000

/**
 * Checks the living ancestors of a process with our mark, nearest first. The process is ours if these are
 * marked, too, up to an ancestor that `classify` calls ours, to process 1, or to the process that adopts our
 * orphans. Any other ancestor makes it foreign.
 */
export function originOf(
  marked: ProcessStat,
  tree: ProcessTree,
  adopter: OrphanAdopter,
  classify: (ancestor: ProcessStat) => AncestorKind
): Origin {
  let child = marked
  for (let steps = 0; steps < mostSteps; steps++) {
    if (child.parent === 1) return 'ours'
    // The parent is outside of this PID namespace.
    if (child.parent === 0) return child.pid === 1 ? 'ours' : 'foreign'
    const parent = tree.find(child.parent) ?? platform.statOf(child.parent)
    if (parent === undefined || !parent.alive || parent.startTick > child.startTick) {
      const now = platform.statOf(child.pid)
      if (now?.startTick !== child.startTick) return 'unclear'
      // A parent that is hidden from this user is none of our processes.
      if (now.parent === child.parent) return parent === undefined ? 'foreign' : 'unclear'
      child = now
      continue
    }
    const kind = classify(parent)
    if (kind === 'ours' || kind === 'foreign') return kind
    if (kind === 'unmarked') return originBelow(parent, adopter)
    child = parent
  }
  return 'unclear'
}

function originBelow(parent: ProcessStat, adopter: OrphanAdopter): Origin {
  // The parent has already freed its environment, and its children are about to get another parent.
  if (parent.ending) return 'unclear'
  const isAdopter = adopter.isAdopter(parent)
  if (isAdopter === undefined) return 'unclear'
  return isAdopter ? 'ours' : 'foreign'
}
