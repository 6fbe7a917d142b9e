/** The clock of the kernel's start times, in clock ticks since boot. */

import { readFileSync } from 'node:fs'
import { statOf } from './proc.js'

// USER_HZ is 100 on every architecture that Node runs on (time(7)).
const ticksPerSecond = 100
// How long the last reading serves, in s: a machine that was suspended meanwhile is late by no more than that.
const freshForSeconds = 1

// This process started no later than its own clock did.
let tick = statOf(process.pid)?.startTick ?? 0
let readAt = 0

/** The time now. It may be some ticks late, and is never ahead. */
export function ticksNow(): number {
  const now = process.uptime()
  if (readAt === 0 || now - readAt > freshForSeconds) {
    // Some containers have an uptime of their own there, which is less. The process's own clock stands still in a suspend.
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
