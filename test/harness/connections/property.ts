/** The laws as a property: fast-check draws connections, and shrinks those that break a law. */

import assert from 'node:assert/strict'
import fc from 'fast-check'
import type { Laws } from './laws.js'
import { type Plan, plan } from './plan.js'

export interface Check {
  readonly seed: number
  /** The minimum number of connections. */
  readonly connections: number
  /** The maximum number of connections at the same time. */
  readonly atOnce: number
}

// After a failure, wait less: shrinking repeats the failure many times. Events of commands may be held back
// from a handler for 5 s while its response waits for its turn.
const patienceWhileShrinkingMs = 7_000
// Shows what is found by then.
const shrinksForMs = 90_000
// A draw has half of the maximum on average, so these are more than enough.
const drawsOf = ({ connections, atOnce }: Check): number => Math.ceil((4 * connections) / atOnce)

/** A new seed for each run, unless the environment has `CONNECTIONS_SEED`. */
export function seedOfRun(): number {
  const { CONNECTIONS_SEED: given } = process.env
  return given === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(given)
}

/** Resolves with the number of connections that ran. Rejects with the smallest case that breaks a law. */
export async function check(laws: Laws, given: Check): Promise<number> {
  let failedAt: number | undefined
  /** The failure before shrinking, which may end at a different one. */
  let first: Broken | undefined
  let count = 0
  const plans = fc.array(plan, { minLength: 1, maxLength: given.atOnce, size: 'max' })
  const property = fc.asyncProperty(plans, async (plans) => {
    const isShrinking = failedAt !== undefined
    if (isShrinking && performance.now() > (failedAt as number) + shrinksForMs) return
    if (!isShrinking && count >= given.connections) return
    const faults = await laws.faultsOf(plans)
    count += plans.length
    if (faults.length === 0) return
    failedAt ??= performance.now()
    first ??= new Broken(faults)
    laws.patienceMs = Math.min(laws.patienceMs, patienceWhileShrinkingMs)
    throw new Broken(faults)
  })
  const { seed } = given
  const result = await fc.check(property, { seed, numRuns: drawsOf(given) })
  if (result.failed) {
    const message = messageOf(seed, result.counterexample?.[0] ?? [], result.errorInstance)
    assert.fail(`${message}\nfirst: ${first?.message}`)
  }
  return count
}

class Broken extends Error {
  constructor(faults: readonly string[]) {
    super(faults.join('\n'))
  }
}

/** Includes the plans in the form that `kept.ts` takes. */
function messageOf(seed: number, plans: readonly Plan[], error: unknown): string {
  const cases = plans.map((plan) => JSON.stringify(plan)).join('\n')
  return `the law is broken (CONNECTIONS_SEED=${seed}) by\n${cases}\n${(error as Error).message}`
}
