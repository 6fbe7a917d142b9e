/**
 * How long a test waits for a state that must come, in ms: far longer than any machine needs. What must come within a bound
 * is asserted in `test/alone`.
 */
export const patienceMs = 60_000
