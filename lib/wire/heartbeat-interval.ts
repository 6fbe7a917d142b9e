/** The interval of the heartbeat, on which the worker and its keeper agree. */

/** How often a worker gives a sign of life, in ms. */
export function heartbeatIntervalMs(timeoutMs: number): number {
  return Math.round(Math.min(1_000, Math.max(10, timeoutMs / 10)))
}
