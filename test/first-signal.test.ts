/**
 * `firstSignalTo`: the first signal goes to the whole tree, or to the command alone, which may forward it
 * (fault 83 in docs/faults.md).
 */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { suite, type TestContext, test } from 'node:test'
import type { createGuard, FirstSignalTo, GuardOptions } from 'fastify-subprocess-guard'
import type * as AdopterModule from '../lib/containment/find-orphan-adopter.js'
import type * as ScanModule from '../lib/containment/marks-census.js'
import type * as MembersModule from '../lib/containment/scope-record.js'
import type * as TerminateModule from '../lib/containment/terminate.js'
import type * as PlatformModule from '../lib/platform/current.js'
import { ask } from './harness/client.js'
import { compiled } from './harness/compiled.js'
import { assertGone } from './harness/expectations.js'
import { commandOf, Guarded } from './harness/guarded.js'
import { kinds } from './harness/kinds.js'
import { shareKeeper } from './harness/shared-keeper.js'
import { installWithoutKoffi } from './harness/without-koffi.js'

const { platform }: typeof PlatformModule = await compiled('platform/current')
const { OrphanAdopter }: typeof AdopterModule = await compiled('containment/find-orphan-adopter')
const { ScopeRecord }: typeof MembersModule = await compiled('containment/scope-record')
const { MarksCensus }: typeof ScanModule = await compiled('containment/marks-census')
const { terminate }: typeof TerminateModule = await compiled('containment/terminate')

shareKeeper()

const withoutKoffi = await installWithoutKoffi()
process.once('exit', withoutKoffi.remove)

// In ms. Half of it is longer than any test.
const longGrace = 600_000

const ways: readonly { name: string; options: GuardOptions; create?: typeof createGuard }[] = [
  { name: 'by keeper', options: {} },
  { name: 'by direct launch', options: { launch: 'direct' } },
  { name: 'containment "marks"', options: {}, create: withoutKoffi.createGuard }
]

for (const { name, options, create } of ways) {
  suite(`${name}, the first signal`, { concurrency: true }, () => {
    async function start(t: TestContext, more: GuardOptions): Promise<Guarded> {
      const guarded = await Guarded.start({ timeout: false, grace: longGrace, ...options, ...more }, create)
      t.after(() => guarded.close())
      return guarded
    }

    /**
     * Runs a recorder behind a wrapper that forwards SIGTERM, and ends both. Resolves with what became of the
     * recording: 'saved' after one SIGTERM, 'spoilt' after two.
     */
    async function recordingOf(
      t: TestContext,
      ofGuard: FirstSignalTo | undefined,
      ofCommand?: FirstSignalTo,
      isOneEnded = false
    ): Promise<string | undefined> {
      const guarded = await start(t, ofGuard === undefined ? {} : { firstSignalTo: ofGuard })
      const scope = guarded.guard.open()
      const child = guarded.run(scope, 'forwards-to-a-recorder.sh', [], { firstSignalTo: ofCommand })
      await guarded.witness.present(2)
      await (isOneEnded ? child.terminate() : scope.close())
      await assertGone(guarded)
      return guarded.witness.said.at(-1)
    }

    test('to a command alone reaches a program behind a forwarding wrapper once', async (t) => {
      assert.equal(await recordingOf(t, 'command'), 'saved')
    })

    test('to the whole tree reaches a program behind a forwarding wrapper twice', async (t) => {
      assert.equal(await recordingOf(t, 'tree'), 'spoilt')
    })

    test('goes to the command alone by default', async (t) => {
      assert.equal(await recordingOf(t, undefined), 'saved')
    })

    test('follows the option of the command rather than that of the guard', async (t) => {
      assert.equal(await recordingOf(t, 'tree', 'command'), 'saved')
      assert.equal(await recordingOf(t, 'command', 'tree'), 'spoilt')
    })

    test('follows the option also when a single command is ended', async (t) => {
      assert.equal(await recordingOf(t, 'command', undefined, true), 'saved')
      assert.equal(await recordingOf(t, 'tree', undefined, true), 'spoilt')
      assert.equal(await recordingOf(t, 'tree', 'command', true), 'saved')
    })

    test('behind timeout(1) arrives once', async (t) => {
      const guarded = await start(t, {})
      const scope = guarded.guard.open()
      const [sh, args] = commandOf('recorder.sh')
      // Without --foreground, timeout(1) itself sends the signal twice.
      const command = ['--foreground', '60', sh, ...args]
      scope.spawn('timeout', command, { stdio: 'ignore', env: guarded.witness.env })
      await guarded.witness.present(1)
      await scope.close()
      await assertGone(guarded)
      assert.equal(guarded.witness.said.at(-1), 'saved')
    })

    test('reaches the rest of the tree as soon as the command has exited', async (t) => {
      const guarded = await start(t, { firstSignalTo: 'command' })
      const scope = guarded.guard.open()
      for (const program of ['background-child.sh', 'daemon.sh']) guarded.run(scope, program)
      await guarded.witness.present(4)
      const { processes } = await scope.close()
      await assertGone(guarded)
      assert.deepEqual(
        processes.map(({ ended }) => ended),
        ['SIGTERM', 'SIGTERM', 'SIGTERM', 'SIGTERM']
      )
    })

    test('reaches the rest of the tree at once if the command had already exited', async (t) => {
      const guarded = await start(t, { firstSignalTo: 'command' })
      const scope = guarded.guard.open()
      guarded.run(scope, 'leaves-a-daemon.sh')
      await guarded.witness.present(1)
      await scope.close()
      await assertGone(guarded)
    })

    test('reaches the rest of the tree after half of the grace period', async (t) => {
      const guarded = await start(t, { firstSignalTo: 'command', grace: 6_000 })
      const scope = guarded.guard.open()
      const leader = guarded.run(scope, 'heeds-no-term.sh')
      await guarded.witness.present(2)
      const startedAt = performance.now()
      const closing = scope.close()
      await guarded.witness.heard('tidied')
      assert.ok(performance.now() - startedAt > 2_990)
      const { processes } = await closing
      await assertGone(guarded)
      assert.equal(leader.signalCode, 'SIGKILL')
      assert.equal(processes.find(({ pid }) => pid === leader.pid)?.ended, 'SIGKILL')
    })

    test('is sent once if a scope closes while one of its commands is being ended', async (t) => {
      for (const firstSignalTo of ['command', 'tree'] as const) {
        const guarded = await start(t, { firstSignalTo })
        const scope = guarded.guard.open()
        const child = guarded.run(scope, 'recorder.sh')
        await guarded.witness.present(1)
        const one = child.terminate()
        await guarded.witness.heard('asked')
        await Promise.all([one, scope.close()])
        await assertGone(guarded)
        assert.equal(guarded.witness.said.at(-1), 'saved')
      }
    })
  })
}

suite('a command dies of a signal', () => {
  const programs: [when: string, script: string, dies: boolean][] = [
    ['when it has no handler', ':', true],
    ['not when it has a handler', 'trap : TERM', false],
    ['not when it ignores the signal', "trap '' TERM", false],
    ['when it handles only another signal', 'trap : HUP', true]
  ]
  for (const [when, script, dies] of programs) {
    test(when, async (t) => {
      const child = spawn('sh', ['-c', `${script}; echo there; read line`], {
        stdio: ['pipe', 'pipe', 'inherit']
      })
      t.after(() => child.kill('SIGKILL'))
      await once(child.stdout, 'data')
      assert.equal(platform.hasDefaultAction(child.pid as number, 'SIGTERM'), dies)
    })
  }
})

suite('at containment "marks", a process started after a scan', () => {
  /** Starts a shell that runs `script`, and then a program as soon as it reads a line: see `startChild`. */
  async function startShell(t: TestContext, script: string) {
    const shell = spawn('sh', ['-c', `${script} echo; read line; sleep 1000; :`], {
      stdio: ['pipe', 'pipe', 'inherit']
    })
    t.after(() => shell.kill('SIGKILL'))
    await once(shell.stdout, 'data')
    const stat = platform.statOf(shell.pid as number) as PlatformModule.ProcessStat
    /** Blocks until the child exists, so that all of it happens in one turn of the event loop. */
    const startChild = (): void => {
      shell.stdin.write('\n')
      while (platform.childrenOf(stat).length === 0);
    }
    return { stat, startChild }
  }

  function openIn(census: ScanModule.MarksCensus, number: number): MembersModule.ScopeRecord {
    const ending = { graceMs: 10_000, killSignal: 'SIGTERM' } as const
    const record = new ScopeRecord(number, `mark-${number}`, ending, undefined)
    census.open(record)
    return record
  }

  const parts = {
    isWorker: (pid: number) => pid === process.pid,
    adopter: new OrphanAdopter({ pid: process.pid, findAdopter: async () => 1 })
  }

  async function assertTwoEnd(census: ScanModule.MarksCensus, scope: MembersModule.ScopeRecord) {
    const processes = await terminate(census, scope, undefined)
    assert.deepEqual(
      processes.map(({ ended }) => ended),
      ['SIGTERM', 'SIGTERM']
    )
  }

  test('for another scope gets the first signal', async (t) => {
    const census = new MarksCensus(parts)
    const [other, scope] = [openIn(census, 1), openIn(census, 2)]
    // The shell handles the signal, and exits once the child that it waits for has ended.
    const { stat, startChild } = await startShell(t, 'trap : TERM;')
    scope.external.adopt(stat)
    census.members(other)
    startChild()
    await assertTwoEnd(census, scope)
  })

  test('is found although the signal ends its parent', async (t) => {
    const { stat, startChild } = await startShell(t, '')
    class LateCensus extends MarksCensus {
      #hasStarted = false

      override members(scope: MembersModule.ScopeRecord) {
        const members = super.members(scope)
        if (!this.#hasStarted) startChild()
        this.#hasStarted = true
        return members
      }
    }
    const census = new LateCensus(parts)
    const scope = openIn(census, 1)
    scope.external.adopt(stat)
    await assertTwoEnd(census, scope)
  })
})

for (const { name, serve } of kinds) {
  test(`${name}: a route may set firstSignalTo for its requests`, async (t) => {
    const served = await serve({ guard: { firstSignalTo: 'command', grace: longGrace } }, (served) => {
      for (const firstSignalTo of ['command', 'tree'] as const) {
        const handle = async (request: Parameters<typeof served.run>[0]) => {
          const before = served.witness.announced.length
          served.run(request, 'forwards-to-a-recorder.sh')
          await served.witness.present(before + 2)
          return 'answer'
        }
        served.get(`/${firstSignalTo}`, handle, { firstSignalTo })
      }
    })
    t.after(() => served.close())
    await ask(served.port, '/command').answer
    await served.witness.heard('saved')
    await ask(served.port, '/tree').answer
    await served.witness.heard('spoilt')
    await assertGone(served)
  })
}
