/**
 * The clock that a worker and its keeper share. `performance.now()` begins with each process; both it and
 * `process.hrtime()` read CLOCK_MONOTONIC, which is one for the machine and stands still while that is suspended
 * (clock_gettime(2)).
 */

const offsetMs = Number(process.hrtime.bigint()) / 1e6 - performance.now()

/** A time by `performance.now()`, in ms, as any process of this machine understands it. */
export function sharedTimeOf(ownMs: number): number {
  return ownMs + offsetMs
}

/** A time that another process told, in ms by this one's `performance.now()`. */
export function ownTimeOf(sharedMs: number): number {
  return sharedMs - offsetMs
}
