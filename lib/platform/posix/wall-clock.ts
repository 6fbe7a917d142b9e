/** The clock of the start times that ps shows, in s: that of the day. */

/** The present time. */
export function secondsNow(): number {
  return Math.floor(Date.now() / 1_000)
}

/**
 * The same as a lower bound of what ps shows for a process that starts now. Linux adds two times that are rounded down, so
 * its start times may be a second early.
 */
export function ticksNow(): number {
  return secondsNow() - 1
}
