/**
 * A clock that a worker and its keeper share. `performance.now()` starts at 0 in each process. It and
 * `process.hrtime()` both read CLOCK_MONOTONIC, which is the same for all processes of the machine and stops
 * while the machine is suspended (clock_gettime(2)).
 */

const offsetMs = Number(process.hrtime.bigint()) / 1e6 - performance.now()

/** Converts a time of this process's `performance.now()` into one for other processes, in ms. */
export function sharedTimeOf(ownMs: number): number {
  return ownMs + offsetMs
}

/** Converts a time that another process has sent into one of this process's `performance.now()`, in ms. */
export function ownTimeOf(sharedMs: number): number {
  return sharedMs - offsetMs
}
