/** The interval of the heartbeat: the worker and its keeper derive it from the same timeout. */

/** How often a worker sends a heartbeat, in ms: a tenth of the timeout, but from 10 ms to 1,000 ms. */
export function heartbeatIntervalMs(timeoutMs: number): number {
  return Math.round(Math.min(1_000, Math.max(10, timeoutMs / 10)))
}
