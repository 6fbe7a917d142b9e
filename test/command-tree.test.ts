/** The end of one command is that of all it has started, and of nothing else (FAULTS 83). */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { after, before, suite, type TestContext, test } from 'node:test'
import type { createGuard, ExecError, GuardOptions, Scope } from 'fastify-subprocess-guard'
import { assertGone } from './harness/expectations.js'
import { commandOf, Guarded } from './harness/guarded.js'
import { lives } from './harness/proc.js'
import { installWithoutKoffi } from './harness/without-koffi.js'
import { Witness } from './harness/witness.js'

const withoutKoffi = await installWithoutKoffi()
process.once('exit', withoutKoffi.remove)

const ways: readonly { name: string; options: GuardOptions; create?: typeof createGuard }[] = [
  { name: 'by keeper', options: {} },
  { name: 'by direct launch', options: { launch: 'direct' } },
  { name: 'containment "marks"', options: {}, create: withoutKoffi.createGuard }
]

const fork = new URL('../../test/programs/forks-a-waiting.mjs', import.meta.url)

interface Tree {
  readonly law: string
  readonly program: string
  readonly count: number
  /** Whether its own process exits before the command is ended. */
  readonly exits?: boolean
  /** How each process ended. */
  readonly ended: readonly string[]
}

const trees: readonly Tree[] = [
  {
    law: 'a child in the background',
    program: 'background-child.sh',
    count: 2,
    ended: ['SIGTERM', 'SIGTERM']
  },
  { law: 'a daemon that left its session', program: 'daemon.sh', count: 2, ended: ['SIGTERM', 'SIGTERM'] },
  {
    law: 'a child that ignores SIGTERM',
    program: 'sibling-ignores-term.sh',
    count: 2,
    ended: ['SIGKILL', 'SIGTERM']
  },
  {
    law: 'what it has left when it exited',
    program: 'leader-exits.sh',
    count: 1,
    exits: true,
    ended: ['SIGTERM']
  },
  {
    law: 'a daemon, when it exited',
    program: 'leaves-a-daemon.sh',
    count: 1,
    exits: true,
    ended: ['SIGTERM']
  }
]

for (const { name, options, create } of ways) {
  suite(`${name}, the end of one command`, () => {
    let guarded: Guarded
    let scope: Scope
    /** Knows of another command of the same scope. */
    const other = new Witness()

    before(async () => {
      guarded = await Guarded.start({ timeout: false, ...options }, create)
      scope = guarded.guard.open()
      scope.spawn(...commandOf('daemon.sh'), { stdio: 'ignore', env: other.env })
      await other.present(2)
    })
    after(async () => {
      assert.equal(other.living().length, 2, 'another command of the scope was ended')
      await scope.close()
      await assertGone({ witness: other })
      other.close()
      await guarded.close()
    })

    /** A witness for one tree. */
    function witnessOf(t: TestContext): Witness {
      const witness = new Witness()
      t.after(() => witness.close())
      return witness
    }

    for (const { law, program, count, exits = false, ended } of trees) {
      test(`takes along ${law}`, async (t) => {
        const witness = witnessOf(t)
        const child = scope.spawn(...commandOf(program), { stdio: 'ignore', env: witness.env })
        await witness.present(count)
        if (exits && child.exitCode === null) await once(child, 'exit')
        const { processes, survivors } = await child.terminate()
        assert.deepEqual(witness.living(), [])
        assert.deepEqual(processes.map((process) => process.ended).sort(), ended)
        assert.deepEqual(survivors, [])
      })

      test(`takes along ${law}: kill() leaves it`, async (t) => {
        const witness = witnessOf(t)
        const child = scope.spawn(...commandOf(program), { stdio: 'ignore', env: witness.env })
        await witness.present(count)
        child.kill()
        if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
        assert.equal(witness.living().length, exits ? 1 : count - 1)
        await child.terminate()
        await assertGone({ witness })
      })
    }

    /** Starts a command whose child ignores SIGTERM, and ends it as `end` does when all of it is there. */
    async function assertEnded(
      t: TestContext,
      run: (witness: Witness, command: [string, string[]]) => Promise<unknown>
    ): Promise<void> {
      const witness = witnessOf(t)
      await run(witness, commandOf('sibling-ignores-term.sh'))
      await assertGone({ witness })
      assert.equal(scope.reason, undefined)
    }

    test('is what the option `timeout` brings, and `execFile` rejects when it has closed', (t) =>
      assertEnded(t, async ({ env }, command) => {
        const error: ExecError = await scope.execFile(...command, { timeout: 500, env }).then(
          () => assert.fail('it did not fail'),
          (error) => error
        )
        assert.deepEqual([error.killed, error.code, error.signal], [true, null, 'SIGTERM'])
      }))

    test('is what the option `timeout` of `spawn` brings', (t) =>
      assertEnded(t, async ({ env }, command) => {
        const child = scope.spawn(...command, { timeout: 500, stdio: 'ignore', env })
        assert.deepEqual(await once(child, 'exit'), [null, 'SIGTERM'])
        assert.equal(child.killed, true)
      }))

    test('is what the option `signal` brings', (t) =>
      assertEnded(t, async (witness, command) => {
        const aborting = new AbortController()
        const { signal } = aborting
        const run = scope.execFile(...command, { signal, env: witness.env })
        await witness.present(2)
        aborting.abort()
        await assert.rejects(run, { name: 'AbortError', killed: true })
      }))

    test('is what `maxBuffer` brings', (t) =>
      assertEnded(t, async (witness) => {
        const run = scope.execFile(...commandOf('ignores-term-and-writes.sh'), {
          maxBuffer: 4,
          env: witness.env
        })
        await assert.rejects(run, { code: 'ERR_CHILD_PROCESS_STDIO_MAXBUFFER', killed: true })
      }))

    test('is what `await using` waits for', (t) =>
      assertEnded(t, async (witness, command) => {
        const child = scope.spawn(...command, { stdio: 'ignore', env: witness.env })
        await witness.present(2)
        await child[Symbol.asyncDispose]()
        assert.deepEqual(witness.living(), [])
      }))

    test('is what the destruction of its stream brings', (t) =>
      assertEnded(t, async (witness, command) => {
        const stream = scope.stream(...command, { env: witness.env })
        await witness.present(2)
        stream.on('error', () => {}).destroy()
      }))

    test('is proven gone at once where nothing was started', async () => {
      const child = scope.spawn('/no-such-command', [], { stdio: 'ignore' })
      child.on('error', () => {})
      assert.deepEqual(await child.terminate(), { processes: [], survivors: [] })
    })

    test('is one end, however often it is asked for, and before the start as well', async () => {
      const child = scope.spawn('sleep', ['1000'], { stdio: 'ignore' })
      const [one, two] = await Promise.all([child.terminate(), child.terminate()])
      assert.equal(one, two)
      assert.deepEqual([one.processes.length, child.signalCode, child.killed], [1, 'SIGTERM', true])
      assert.equal(lives(child.pid), false)
      assert.deepEqual(await child.terminate(), { processes: [], survivors: [] })
    })

    test('can be waited for in a deferred function', async () => {
      const apart = guarded.guard.open()
      const child = apart.spawn('sleep', ['1000'], { stdio: 'ignore' })
      apart.defer(() => child.terminate())
      assert.equal((await apart.close()).processes.length, 1)
      assert.equal(guarded.lines('a deferred function failed').length, 0)
    })

    test('is that of its process alone where it was released', async (t) => {
      const witness = witnessOf(t)
      const apart = guarded.guard.open()
      const child = apart.spawn(...commandOf('background-child.sh'), { stdio: 'ignore', env: witness.env })
      await witness.present(2)
      apart.release(child)
      await child.terminate()
      assert.deepEqual(
        witness.living().map(({ name }) => name),
        ['child']
      )
      await apart.close()
    })

    test('of a fork takes along what it has started', async (t) => {
      const witness = witnessOf(t)
      const child = scope.fork(fork, {
        stdio: 'ignore',
        env: witness.env
      })
      await witness.present(1)
      await child.terminate()
      assert.deepEqual(witness.living(), [])
    })
  })
}

test('the end of one command is that of its scope where the keeper is lost', async (t) => {
  const guarded = await Guarded.start({ timeout: false, grace: 1_000 })
  t.after(() => guarded.close())
  const scope = guarded.guard.open()
  const child = guarded.run(scope, 'tree-ignores-term.sh')
  child.on('error', () => {})
  await guarded.witness.present(4)
  const termination = child.terminate()
  process.kill(guarded.guard.keeper, 'SIGKILL')
  assert.equal((await termination).processes.length, 4)
  await assertGone(guarded)
  assert.equal(scope.reason, 'keeper-lost')
})
