/**
 * Tells the memory of a child from that of this process. Until its exec a child has the memory of its parent, and
 * Linux counts that as the child's (exec_mmap in fs/exec.c).
 */

import { type ProcessUsage, platform } from '../platform/current.js'

// How long a reading is used, in ms. The peak of an idle process hardly grows.
const freshForMs = 1_000

let ownPeakKb = 0
let readAt = Number.NEGATIVE_INFINITY

/** The usage of a child of this process, whose memory is unknown if it was no more than that of this process. */
export function withoutOwnMemory(usage: ProcessUsage): ProcessUsage {
  const isKnown = usage.maxRssKb > ownPeakKb && usage.maxRssKb > peakNow()
  return isKnown ? usage : { ...usage, maxRssKb: 0 }
}

function peakNow(): number {
  const now = performance.now()
  if (now - readAt > freshForMs) {
    readAt = now
    ownPeakKb = platform.usageOf(process.pid)?.maxRssKb ?? 0
  }
  return ownPeakKb
}
