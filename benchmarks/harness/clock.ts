/** One clock for all processes of the machine: `performance.now()` starts at 0 in each of them. */

/** The time in ms, by CLOCK_MONOTONIC. */
export function sharedNow(): number {
  return Number(process.hrtime.bigint()) / 1e6
}
