/** The clock of the kernel's start times, in clock ticks since boot. */

import { readFileSync } from 'node:fs'
import { statOf } from './process-stat.js'

/**
 * Of the times in /proc: USER_HZ is 100 on every architecture that Node runs on (asm-generic/param.h; only Alpha
 * and Itanium had others).
 */
export const ticksPerSecond = 100

// How long a reading is used, in s. If the machine was suspended in the meantime, the clock is late by no
// more than that.
const freshForSeconds = 1

// A lower bound: this process started no later than its own clock did.
let tick = process.platform === 'linux' ? (statOf(process.pid)?.startTick ?? 0) : 0
let readAt = 0

/** The present time. It may be some ticks late, and is never ahead. */
export function ticksNow(): number {
  const now = process.uptime()
  if (readAt === 0 || now - readAt > freshForSeconds) {
    // Some containers have an uptime of their own in /proc, which is less. The process's own clock stops
    // during a suspend.
    tick = Math.max(tick + Math.floor((now - readAt) * ticksPerSecond), ticksOfMachine())
    readAt = now
  }
  return tick + Math.floor((now - readAt) * ticksPerSecond)
}

function ticksOfMachine(): number {
  try {
    return Math.floor(Number.parseFloat(readFileSync('/proc/uptime', 'latin1')) * ticksPerSecond) || 0
  } catch {
    return 0
  }
}
