/**
 * Where a process with our mark comes from. A mark alone is no proof: services such as PM2, at(1) or a session bus start
 * programs with the environment of whoever asks them to. What such a service has started has that service above it.
 */

import { type ProcessStat, statOf } from '../platform/current.js'
import type { OrphanAdopter } from './orphan-adopter.js'
import type { ProcessTree } from './process-tree.js'

/** `unclear`: something is changing, or a trial runs, and a later look will tell. */
export type Origin = 'ours' | 'foreign' | 'unclear'

/** What an ancestor of a marked process tells: `marked` means to ask the next one, `unmarked` that it says nothing of us. */
export type AncestorKind = 'ours' | 'foreign' | 'marked' | 'unmarked'

// Processes that end while they are looked at have their children pass on to others.
const mostSteps = 100_000

/**
 * Looks at the living ancestors of a process with our mark, nearest first. It is ours when these are marked as well, up to one
 * that `verdictOn` says is ours, to process 1, or to the one that takes in our orphans. Any other ancestor makes it somebody else's.
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
    // Its parent is outside of this PID namespace.
    if (child.parent === 0) return child.pid === 1 ? 'ours' : 'foreign'
    const parent = tree.find(child.parent) ?? statOf(child.parent)
    if (parent === undefined || !parent.alive || parent.startTick > child.startTick) {
      const now = statOf(child.pid)
      if (now?.startTick !== child.startTick) return 'unclear'
      // Hidden from this user: it is no process of ours.
      if (now.parent === child.parent) return parent === undefined ? 'foreign' : 'unclear'
      child = now
      continue
    }
    const verdict = classify(parent)
    if (verdict === 'ours' || verdict === 'foreign') return verdict
    if (verdict === 'unmarked') return originBelow(parent, adopter)
    child = parent
  }
  return 'unclear'
}

function originBelow(parent: ProcessStat, adopter: OrphanAdopter): Origin {
  // It has given its environment back, and its children are about to be others'.
  if (parent.ending) return 'unclear'
  const isAdopter = adopter.isAdopter(parent)
  if (isAdopter === undefined) return 'unclear'
  return isAdopter ? 'ours' : 'foreign'
}
