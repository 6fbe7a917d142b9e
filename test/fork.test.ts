/** Trees that grow while they are ended, and unreadable processes (faults 15, 22, 23 in docs/faults.md). */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { chmodSync, copyFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, suite, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { ask } from './harness/client.js'
import { assertClean, assertGone, assertLeft } from './harness/expectations.js'
import { Guarded } from './harness/guarded.js'
import { type Kind, kinds } from './harness/kinds.js'
import { patienceMs } from './harness/patience.js'
import type { Served, ServedSetup } from './harness/served.js'
import { serve } from './harness/server.js'
import { shareKeeper } from './harness/shared-keeper.js'
import { makePipes, Witness } from './harness/witness.js'

shareKeeper()

/** Starts a server whose route runs the program and answers as soon as `count` of its processes are there. */
function serveProgram(
  kind: Pick<Kind, 'serve'>,
  setup: ServedSetup,
  program: string,
  count: number,
  args: string[] = [],
  env: NodeJS.ProcessEnv = {}
): Promise<Served> {
  return kind.serve(setup, (served) => {
    served.get('/run', async (request) => {
      served.run(request, program, args, { env: { ...served.witness.env, ...env } })
      await served.witness.present(count)
      return 'answer'
    })
  })
}

// The depth of the fork bomb, and the resulting number of processes.
const depth = 6
const bombCount = 2 ** (depth + 1) - 1

// With a direct launch there is no group to signal once the leader has exited, and a scan of all of /proc is
// slower than processes that live for a millisecond. These escape, as docs/faults.md says (22).
const byKeeper = kinds.filter(({ name }) => !name.includes('direct'))

suite('a tree that grows while it is being ended', () => {
  for (const kind of kinds) {
    test(`ends although it is a fork bomb that is still growing: ${kind.name}`, async (t) => {
      const served = await serveProgram(kind, {}, 'bomb.sh', 10, [String(depth)])
      t.after(() => served.close())
      await ask(served.port, '/run').answer
      await assertGone(served)
      await assertClean(served)
    })
  }

  for (const kind of byKeeper) {
    test(`ends although it forks and exits for ever, in one group: ${kind.name}`, async (t) => {
      const served = await serveProgram(kind, {}, 'hops-in-group.sh', 1)
      t.after(() => served.close())
      await ask(served.port, '/run').answer
      await assertGone(served)
      await assertClean(served)
    })

    test(`ends although it forks and exits for ever, each process in its own session: ${kind.name}`, async (t) => {
      const served = await serveProgram(kind, {}, 'hops.sh', 1)
      t.after(() => served.close())
      await ask(served.port, '/run').answer
      await assertGone(served)
      await assertClean(served)
    })
  }

  // A process may exit between two scans, or before its scope is determined. Both are rare, so repeat it.
  for (const program of ['hops-in-group.sh', 'hops.sh']) {
    test(`ends although it forks and exits for ever, a hundred times, beside an older scope: ${program}`, async (t) => {
      const guarded = await Guarded.start()
      t.after(() => guarded.close())
      guarded.guard.open().spawn('sleep', ['1000'], { stdio: 'ignore' })
      for (const [round, pipe] of makePipes(100).entries()) {
        // Each round needs a new witness: its pipe ends only once.
        const witness = new Witness(pipe)
        try {
          const scope = guarded.guard.open()
          guarded.run(scope, program, [], { env: witness.env })
          await witness.present(1)
          // Vary the moment in the life of a process at which the scope closes.
          await pause(round % 20)
          await scope.close()
          assert.ok(
            await witness.goneWithin(patienceMs),
            `a process has outlived its scope in round ${round}`
          )
        } finally {
          witness.close()
        }
      }
    })
  }

  test('lives on without the guard', async (t) => {
    const served = await serveProgram({ serve: serveFastify }, { guard: false }, 'bomb.sh', bombCount, [
      String(depth)
    ])
    t.after(() => served.close())
    await ask(served.port, '/run').answer
    await assertLeft(served, bombCount)
  })
})

suite('a process whose environment cannot be read', () => {
  const folder = mkdtempSync(join(tmpdir(), 'unreadable-'))
  after(() => rmSync(folder, { recursive: true }))
  const sleep = join(folder, 'sleep')
  copyFileSync(spawnSync('sh', ['-c', 'command -v sleep'], { encoding: 'utf8' }).stdout.trim(), sleep)
  chmodSync(sleep, 0o111)
  const env = { UNREADABLE_SLEEP: sleep }

  for (const kind of kinds) {
    test(`ends with its scope: ${kind.name}`, async (t) => {
      const served = await serveProgram(kind, {}, 'unreadable-child.sh', 2, [], env)
      t.after(() => served.close())
      await ask(served.port, '/run').answer
      await assertGone(served)
      await assertClean(served)
    })
  }

  for (const kind of byKeeper) {
    test(`ends with its scope even as a daemon: ${kind.name}`, async (t) => {
      const served = await serveProgram(kind, {}, 'unreadable-daemon.sh', 2, [], env)
      t.after(() => served.close())
      await ask(served.port, '/run').answer
      await assertGone(served)
      await assertClean(served)
    })
  }

  test('lives on without the guard', async (t) => {
    const served = await serveProgram(
      { serve: serveFastify },
      { guard: false },
      'unreadable-daemon.sh',
      2,
      [],
      env
    )
    t.after(() => served.close())
    await ask(served.port, '/run').answer
    await assertLeft(served, 2)
  })
})

function serveFastify(setup: ServedSetup, routes: (served: Served) => void): Promise<Served> {
  return serve(setup, (_app, served) => routes(served))
}
