/** When the end of a scope is told, nothing of it writes any more (FAULTS 50). */

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

interface Written {
  readonly guarded: Guarded
  readonly path: string
  /** How often each of the two has written. */
  lines(): { leader: number; daemon: number }
}

async function startGuarded(t: TestContext, launch: 'keeper' | 'direct'): Promise<Written> {
  const folder = mkdtempSync(join(tmpdir(), 'silence-'))
  // Neither of the two heeds the first signal, and they write in all the time until the second.
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

/** Resolves when both have announced themselves and written more than once. */
async function writing({ guarded, lines }: Written): Promise<void> {
  await guarded.witness.present(2)
  await eventually('both write', () => lines().leader > 1 && lines().daemon > 1)
}

const ends: [string, (scope: Scope, guarded: Guarded) => Promise<unknown>][] = [
  ['scope.close()', (scope) => scope.close()],
  ['guard.close()', (_scope, { guard }) => guard.close()]
]

for (const launch of ['keeper', 'direct'] as const) {
  suite(`what is written when the end has been told, launch: ${launch}`, () => {
    for (const [how, end] of ends) {
      test(`is all that is ever written: ${how}`, async (t) => {
        const written = await startGuarded(t, launch)
        const { guarded, path } = written
        const scope = guarded.guard.open()
        guarded.run(scope, 'writes-for-ever.sh', [path])
        await writing(written)
        await end(scope, guarded)
        const before = readFileSync(path)
        // At once, without a turn of the loop: the proof came before the promise.
        assert.deepEqual(guarded.witness.living(), [])
        // The pipe's end is that of whoever could have written.
        assert.ok(await guarded.witness.goneWithin(patienceMs))
        assert.ok(readFileSync(path).equals(before), 'something was written after the end')
      })
    }
  })
}

test('without the guard a command that has ended leaves a daemon that writes on', async (t) => {
  const written = await startGuarded(t, 'keeper')
  const { guarded, path, lines } = written
  const child = guarded.runApart('writes-for-ever.sh', [path])
  await writing(written)
  child.kill('SIGKILL')
  await once(child, 'exit')
  const { daemon } = lines()
  await eventually('it writes on', () => lines().daemon > daemon)
  // Dead before its folder is removed, or it might write into that.
  for (const { pid } of guarded.witness.living()) end(pid)
  assert.ok(await guarded.witness.goneWithin(patienceMs))
})
