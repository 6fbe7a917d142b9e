/**
 * How long a test waits for a state that must come, in ms: far longer than any machine needs.
 * Time bounds are asserted in `test/alone`.
 */
export const patienceMs = 60_000

/** The same for what has to start many processes first: forks are slow on some machines, and all wait for them. */
export const startPatienceMs = 3 * patienceMs
