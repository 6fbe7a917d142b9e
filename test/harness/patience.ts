/**
 * How long a test waits for a state that must come, in ms: far longer than any machine needs.
 * Time bounds are asserted in `test/alone`.
 */
export const patienceMs = 60_000
