/** Ending one command ends everything that it has started, and nothing else (fault 83 in docs/faults.md). */

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
  readonly what: string
  readonly program: string
  readonly count: number
  /** Whether the command's own process exits before the command is ended. */
  readonly exits?: boolean
  /** How each process ended. */
  readonly ended: readonly string[]
}

const trees: readonly Tree[] = [
  {
    what: 'a background child',
    program: 'background-child.sh',
    count: 2,
    ended: ['SIGTERM', 'SIGTERM']
  },
  { what: 'a daemon that left its session', program: 'daemon.sh', count: 2, ended: ['SIGTERM', 'SIGTERM'] },
  {
    what: 'a child that ignores SIGTERM',
    program: 'sibling-ignores-term.sh',
    count: 2,
    ended: ['SIGKILL', 'SIGTERM']
  },
  {
    what: 'a child that outlived it',
    program: 'leader-exits.sh',
    count: 1,
    exits: true,
    ended: ['SIGTERM']
  },
  {
    what: 'a daemon that outlived it',
    program: 'leaves-a-daemon.sh',
    count: 1,
    exits: true,
    ended: ['SIGTERM']
  }
]

for (const { name, options, create } of ways) {
  suite(`one command, ${name}:`, () => {
    let guarded: Guarded
    let scope: Scope
    /** The witness of another command in the same scope. */
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

    for (const { what, program, count, exits = false, ended } of trees) {
      test(`terminate() ends it and ${what}`, async (t) => {
        const witness = witnessOf(t)
        const child = scope.spawn(...commandOf(program), { stdio: 'ignore', env: witness.env })
        await witness.present(count)
        if (exits && child.exitCode === null) await once(child, 'exit')
        const { processes, survivors } = await child.terminate()
        assert.deepEqual(witness.living(), [])
        assert.deepEqual(processes.map((process) => process.ended).sort(), ended)
        assert.deepEqual(survivors, [])
      })

      test(`kill() leaves ${what} running`, async (t) => {
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

    /** `run` starts and ends a command whose child ignores SIGTERM. Asserts that its whole tree ends. */
    async function assertEndsTree(
      t: TestContext,
      run: (witness: Witness, command: [string, string[]]) => Promise<unknown>
    ): Promise<void> {
      const witness = witnessOf(t)
      await run(witness, commandOf('sibling-ignores-term.sh'))
      await assertGone({ witness })
      assert.equal(scope.reason, undefined)
    }

    test('the option `timeout` ends its whole tree, and `execFile` rejects', (t) =>
      assertEndsTree(t, async ({ env }, command) => {
        const error: ExecError = await scope.execFile(...command, { timeout: 500, env }).then(
          () => assert.fail('it did not fail'),
          (error) => error
        )
        assert.deepEqual([error.killed, error.code, error.signal], [true, null, 'SIGTERM'])
      }))

    test('the option `timeout` of `spawn` ends its whole tree', (t) =>
      assertEndsTree(t, async ({ env }, command) => {
        const child = scope.spawn(...command, { timeout: 500, stdio: 'ignore', env })
        assert.deepEqual(await once(child, 'exit'), [null, 'SIGTERM'])
        assert.equal(child.killed, true)
      }))

    test('the option `signal` ends its whole tree', (t) =>
      assertEndsTree(t, async (witness, command) => {
        const aborting = new AbortController()
        const { signal } = aborting
        const run = scope.execFile(...command, { signal, env: witness.env })
        await witness.present(2)
        aborting.abort()
        await assert.rejects(run, { name: 'AbortError', killed: true })
      }))

    test('`maxBuffer` ends its whole tree', (t) =>
      assertEndsTree(t, async (witness) => {
        const run = scope.execFile(...commandOf('ignores-term-and-writes.sh'), {
          maxBuffer: 4,
          env: witness.env
        })
        await assert.rejects(run, { code: 'ERR_CHILD_PROCESS_STDIO_MAXBUFFER', killed: true })
      }))

    test('`await using` waits until its whole tree has ended', (t) =>
      assertEndsTree(t, async (witness, command) => {
        const child = scope.spawn(...command, { stdio: 'ignore', env: witness.env })
        await witness.present(2)
        await child[Symbol.asyncDispose]()
        assert.deepEqual(witness.living(), [])
      }))

    test('destroying its stream ends its whole tree', (t) =>
      assertEndsTree(t, async (witness, command) => {
        const stream = scope.stream(...command, { env: witness.env })
        await witness.present(2)
        stream.on('error', () => {}).destroy()
      }))

    test('terminate() resolves at once if it failed to start', async () => {
      const child = scope.spawn('/no-such-command', [], { stdio: 'ignore' })
      child.on('error', () => {})
      assert.deepEqual(await child.terminate(), { processes: [], survivors: [] })
    })

    test('terminate() is idempotent, and may be called before the start', async () => {
      const child = scope.spawn('sleep', ['1000'], { stdio: 'ignore' })
      const [one, two] = await Promise.all([child.terminate(), child.terminate()])
      assert.equal(one, two)
      assert.deepEqual([one.processes.length, child.signalCode, child.killed], [1, 'SIGTERM', true])
      assert.equal(lives(child.pid), false)
      assert.deepEqual(await child.terminate(), { processes: [], survivors: [] })
    })

    test('terminate() can be awaited in a deferred function', async () => {
      const apart = guarded.guard.open()
      const child = apart.spawn('sleep', ['1000'], { stdio: 'ignore' })
      apart.defer(() => child.terminate())
      assert.equal((await apart.close()).processes.length, 1)
      assert.equal(guarded.lines('a deferred function failed').length, 0)
    })

    test('terminate() ends its own process alone if it was released', async (t) => {
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

    test('terminate() of a fork ends what the fork has started', async (t) => {
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

test('terminate() resolves with the end of the scope if the keeper is lost meanwhile', async (t) => {
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
