/** After close() has resolved, no process of the scope writes any more (docs/faults.md, 50). */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite, type TestContext, test } from 'node:test'
import type { Scope } from 'fastify-subprocess-guard'
import { eventually } from './harness/expectations.js'
import { Guarded } from './harness/guarded.js'
import { patienceMs } from './harness/patience.js'
import { end } from './harness/proc.js'
import { shareKeeper } from './harness/shared-keeper.js'

shareKeeper()

interface Writers {
  readonly guarded: Guarded
  readonly path: string
  /** How many lines each of the two processes has written. */
  lines(): { leader: number; daemon: number }
}

async function startGuarded(t: TestContext, launch: 'keeper' | 'direct'): Promise<Writers> {
  const folder = mkdtempSync(join(tmpdir(), 'silence-'))
  // Both processes ignore SIGTERM, and write until SIGKILL after the grace period.
  const guarded = await Guarded.start({ launch, grace: 50 })
  t.after(async () => {
    await guarded.close()
    rmSync(folder, { recursive: true })
  })
  const path = join(folder, 'written')
  writeFileSync(path, '')
  const lines = (): { leader: number; daemon: number } => {
    const all = readFileSync(path, 'utf8').split('\n')
    const count = (name: string): number => all.filter((line) => line === name).length
    return { leader: count('leader'), daemon: count('daemon') }
  }
  return { guarded, path, lines }
}

/** Resolves when both processes have announced themselves and written more than once. */
async function untilBothWrite({ guarded, lines }: Writers): Promise<void> {
  await guarded.witness.present(2)
  await eventually('both processes write', () => lines().leader > 1 && lines().daemon > 1)
}

const ends: [string, (scope: Scope, guarded: Guarded) => Promise<unknown>][] = [
  ['scope.close()', (scope) => scope.close()],
  ['guard.close()', (_scope, { guard }) => guard.close()]
]

for (const launch of ['keeper', 'direct'] as const) {
  suite(`what a scope has written when its close has resolved, launch: ${launch}`, () => {
    for (const [method, end] of ends) {
      test(`is all that is ever written: ${method}`, async (t) => {
        const writers = await startGuarded(t, launch)
        const { guarded, path } = writers
        const scope = guarded.guard.open()
        guarded.run(scope, 'writes-for-ever.sh', [path])
        await untilBothWrite(writers)
        await end(scope, guarded)
        const before = readFileSync(path)
        // Checked at once, without a turn of the event loop: the promise resolves only after the proof.
        assert.deepEqual(guarded.witness.living(), [])
        // The end of the witness pipe proves that no possible writer is alive.
        assert.ok(await guarded.witness.goneWithin(patienceMs))
        assert.ok(readFileSync(path).equals(before), 'something was written after the end')
      })
    }
  })
}

test('without the guard an ended command leaves a daemon that keeps writing', async (t) => {
  const writers = await startGuarded(t, 'keeper')
  const { guarded, path, lines } = writers
  const child = guarded.runApart('writes-for-ever.sh', [path])
  await untilBothWrite(writers)
  child.kill('SIGKILL')
  await once(child, 'exit')
  const { daemon } = lines()
  await eventually('the daemon keeps writing', () => lines().daemon > daemon)
  // The daemon must be dead before the directory is removed: it could write into it.
  for (const { pid } of guarded.witness.living()) end(pid)
  assert.ok(await guarded.witness.goneWithin(patienceMs))
})
