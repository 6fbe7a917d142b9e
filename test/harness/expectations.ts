/** Assertions about the state after every fault: no process alive, nothing left over, the worker serves. */

import assert from 'node:assert/strict'
import { setTimeout as pause } from 'node:timers/promises'
import { ask } from './client.js'
import { patienceMs } from './patience.js'
import { childrenOf } from './proc.js'
import { goneMs, type Served } from './served.js'

/** Asserts that every process that the witness knows ends. */
export async function assertGone({ witness }: Pick<Served, 'witness'>, ms = patienceMs): Promise<void> {
  assert.ok(witness.announced.length > 0, 'no process has announced itself: the test would prove nothing')
  const isGone = await witness.goneWithin(ms)
  assert.ok(
    isGone,
    `still alive after ${ms} ms: ${witness.living().map(({ pid, name }) => `${pid} ${name}`)}`
  )
}

/** Asserts that the processes are still alive: the negative control. */
export async function assertLeft({ witness }: Pick<Served, 'witness'>, count: number): Promise<void> {
  assert.equal(await witness.goneWithin(goneMs), false, 'the case leaves nothing behind without the guard')
  const living = witness.living().map(({ name }) => name)
  assert.ok(living.length >= count, `only ${living.length} are left: ${living}`)
}

/** Asserts that the guard is idle and the worker serves: no open scope, no zombie. */
export async function assertClean(served: Served): Promise<void> {
  const { answer } = ask(served.port, '/ping')
  assert.equal((await answer).body, 'pong')
  const guard = served.guard
  await eventually('no scope is open', () => guard.scopes().length === 0)
  await eventually('the keeper has no child, dead or alive', () => childrenOf(guard.keeper).length === 0)
}

/** Asserts that exactly one log line reports a closed scope, and returns it. */
export async function assertOneLine(served: Served, reason: string) {
  await eventually('the scope is closed', () => served.guard.scopes().length === 0)
  assert.equal(served.scopeLines.length, 1, JSON.stringify(served.scopeLines))
  const [line] = served.scopeLines
  assert.equal(line?.reason, reason)
  return line as unknown as {
    reason: string
    route: string
    processes: { pid: number; command: string; ended: string }[]
  }
}

/** Polls for a state that only `/proc` or a getter shows. */
export async function eventually(what: string, isSo: () => boolean, ms = patienceMs): Promise<void> {
  const startedAt = performance.now()
  while (!isSo()) {
    const waitedMs = performance.now() - startedAt
    if (waitedMs > ms) assert.fail(`not within ${ms} ms: ${what}`)
    // Other tests run at the same time, so poll less often the longer it takes.
    await pause(Math.min(5 + waitedMs / 20, 25))
  }
}
