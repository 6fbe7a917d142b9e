/** One clock for all processes of the machine: that of `performance.now()` begins with each of them. */

/** The time in ms, by CLOCK_MONOTONIC. */
export function sharedNow(): number {
  return Number(process.hrtime.bigint()) / 1e6
}
