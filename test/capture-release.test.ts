/** A process that a scope adopted and then released outlives scope, guard, keeper and worker. */

import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { suite, type TestContext, test } from 'node:test'
import { execa } from 'execa'
import { createGuard, type GuardOptions, type Scope } from 'fastify-subprocess-guard'
import { ask } from './harness/client.js'
import { assertGone, eventually } from './harness/expectations.js'
import { commandOf, Guarded } from './harness/guarded.js'
import { childrenOf, lives } from './harness/proc.js'
import { sweep } from './harness/sweeper.js'
import { installWithoutKoffi } from './harness/without-koffi.js'
import { Worker } from './harness/worker.js'

const withoutKoffi = await installWithoutKoffi()
process.once('exit', withoutKoffi.remove)

const isTypeError = { name: 'SubprocessOptionError', code: 'ERR_SUBPROCESS_OPTION' }

interface Way {
  readonly name: string
  readonly launch: 'keeper' | 'direct'
  readonly create: typeof createGuard
  /** The environment that makes a worker use the same copy of the package. */
  readonly env: NodeJS.ProcessEnv
}

const marks = { create: withoutKoffi.createGuard, env: { GUARD_PACKAGE: withoutKoffi.url } }
const subreaper = { create: createGuard, env: {} }
const ways: readonly Way[] = [
  { name: 'subreaper, keeper', launch: 'keeper', ...subreaper },
  { name: 'subreaper, direct', launch: 'direct', ...subreaper },
  { name: 'marks, keeper', launch: 'keeper', ...marks },
  { name: 'marks, direct', launch: 'direct', ...marks }
]

async function startGuarded(t: TestContext, { launch, create }: Way, options: GuardOptions = {}) {
  const guarded = await Guarded.start({ launch, timeout: false, ...options }, create)
  t.after(() => guarded.close())
  return guarded
}

async function killKeeper({ guard }: Guarded): Promise<void> {
  const { keeper } = guard
  process.kill(keeper, 'SIGKILL')
  await eventually('the keeper is dead', () => !lives(keeper))
}

function namesOf({ witness }: Pick<Guarded, 'witness'>): string[] {
  return witness
    .living()
    .map(({ name }) => name)
    .sort()
}

for (const way of ways) {
  suite(`release of an adopted process (${way.name})`, () => {
    const releases: Record<string, (scope: Scope, child: ChildProcess) => unknown> = {
      'by its handle': (scope, child) => assert.equal(scope.release(scope.adopt(child)), child),
      'by its pid': (scope, child) => {
        scope.adopt(child.pid as number)
        assert.equal(scope.release(child.pid as number), child.pid)
      }
    }

    for (const [what, release] of Object.entries(releases)) {
      test(`${what} lets it and its children outlive scope and guard`, async (t) => {
        const guarded = await startGuarded(t, way)
        const scope = guarded.guard.open()
        const child = guarded.runApart('background-child.sh')
        await guarded.witness.present(2)
        release(scope, child)
        scope.adopt(guarded.runApart('waits.sh'))
        guarded.run(scope, 'waits.sh')
        await guarded.witness.present(4)
        const { processes } = await scope.close()
        assert.equal(processes.length, 2)
        assert.deepEqual(namesOf(guarded), ['child', 'shell'])
        const { keeper } = guarded.guard
        await guarded.guard.close()
        await eventually('the keeper is gone', () => !lives(keeper))
        assert.deepEqual(namesOf(guarded), ['child', 'shell'])
      })
    }

    test('lets a captured process outlive its job, even if released in the turn that created it', async (t) => {
      const guarded = await startGuarded(t, way, { capture: true })
      await guarded.guard.run({}, async (scope) => {
        scope.release(guarded.runApart('background-child.sh'))
        scope.release(guarded.runApart('waits.sh').pid as number)
        guarded.runApart('waits.sh')
        await guarded.witness.present(4)
      })
      assert.deepEqual(namesOf(guarded), ['child', 'shell', 'waits'])
    })

    test('spares the children of a released process that exits while the scope is open', async (t) => {
      const guarded = await startGuarded(t, way)
      const scope = guarded.guard.open()
      const child = scope.adopt(guarded.runApart('background-child.sh'))
      await guarded.witness.present(2)
      assert.equal((await scope.list()).length, 2)
      scope.release(child)
      // The keeper handles messages in order: when it answers, it has handled the release.
      await scope.list()
      child.kill('SIGKILL')
      await once(child, 'exit')
      assert.deepEqual((await scope.close()).processes, [])
      assert.deepEqual(namesOf(guarded), ['child'])
    })

    test('still holds when the keeper is lost and the guard closes after that', async (t) => {
      const guarded = await startGuarded(t, way)
      const scope = guarded.guard.open()
      const other = scope.adopt(guarded.runApart('waits.sh'))
      scope.release(scope.adopt(guarded.runApart('background-child.sh')))
      await guarded.witness.present(3)
      await killKeeper(guarded)
      const { processes, reason } = await scope.closed
      assert.equal(reason, 'keeper-lost')
      assert.deepEqual(
        processes.map(({ pid }) => pid),
        [other.pid]
      )
      assert.deepEqual(namesOf(guarded), ['child', 'shell'])
      await guarded.guard.close()
      assert.deepEqual(namesOf(guarded), ['child', 'shell'])
    })
  })
}

for (const way of ways.filter(({ launch }) => launch === 'keeper')) {
  suite(`an adopted and released process (${way.name}) outlives a worker`, () => {
    async function startWorker(t: TestContext): Promise<Worker> {
      const worker = await Worker.start({ env: way.env })
      t.after(() => worker.close())
      await worker.withScope('release-adopted')
      await worker.witness.present(2)
      return worker
    }

    test('that is killed, and unreleased processes do not', async (t) => {
      const worker = await startWorker(t)
      await worker.withScope('start-apart')
      await worker.witness.present(4)
      worker.run('waits.sh')
      await worker.witness.present(5)
      worker.kill('SIGKILL')
      await worker.output()
      assert.deepEqual(namesOf(worker), ['child', 'shell'])
    })

    test('that is killed after its keeper was lost', async (t) => {
      const worker = await startWorker(t)
      process.kill(worker.keeper as number, 'SIGKILL')
      await eventually('there is another keeper', () => worker.errors.includes('another keeper is starting'))
      assert.equal((await ask(worker.port, '/echo').answer).status, 200)
      worker.kill('SIGKILL')
      await worker.output()
      assert.deepEqual(namesOf(worker), ['child', 'shell'])
    })

    test('that is killed with its keeper, and also the next sweep, until it exits', async (t) => {
      const worker = await startWorker(t)
      await worker.withScope('adopt')
      await worker.witness.present(4)
      const [first] = worker.witness.announced.filter(({ name }) => name === 'shell')
      process.kill(worker.keeper as number, 'SIGSTOP')
      worker.kill('SIGKILL')
      await worker.dead()
      process.kill(worker.keeper as number, 'SIGKILL')
      await worker.keeperDead()
      await sweep()
      assert.deepEqual(namesOf(worker), ['child', 'shell'])
      assert.equal(worker.witness.living().find(({ name }) => name === 'shell')?.pid, first?.pid)
      // The child that it leaves carries the mark of a dead worker.
      process.kill(first?.pid as number, 'SIGKILL')
      await eventually('it is dead', () => worker.witness.living().length === 1)
      await sweep()
      await assertGone(worker)
    })
  })
}

suite('release', () => {
  const [way] = ways as [Way]

  test('rejects what this scope did not adopt or no longer owns', async (t) => {
    const guarded = await startGuarded(t, way)
    const scope = guarded.guard.open()
    const other = guarded.guard.open()
    const ended = scope.adopt(guarded.runApart('waits.sh'))
    const byPid = guarded.runApart('waits.sh')
    const released = scope.adopt(guarded.runApart('waits.sh'))
    const unadopted = guarded.runApart('waits.sh')
    const ofOther = other.adopt(guarded.runApart('waits.sh'))
    scope.adopt(byPid.pid as number)
    scope.release(released)
    const { pid } = ended
    for (const child of [ended, byPid]) {
      child.kill('SIGKILL')
      await once(child, 'exit')
    }
    const invalid: Record<string, unknown> = {
      'not adopted': unadopted,
      'not adopted, by pid': unadopted.pid,
      'adopted by another scope': ofOther,
      ended,
      'ended, by pid': pid,
      'adopted by pid, and ended': byPid.pid,
      'already released': released,
      'already released, by pid': released.pid,
      'an object without a pid': {},
      'a string': 'text',
      nothing: undefined,
      null: null,
      'not a number': Number.NaN,
      'the worker': process.pid,
      'the keeper': guarded.guard.keeper
    }
    for (const [what, child] of Object.entries(invalid)) {
      assert.throws(() => scope.release(child as never), isTypeError, what)
    }
    await other.close()
    await scope.close()
    assert.throws(() => scope.release(unadopted), isTypeError)
  })

  test('rejects a child of a command of the scope, and names the command to release instead', async (t) => {
    const guarded = await startGuarded(t, way)
    const scope = guarded.guard.open()
    const command = guarded.run(scope, 'background-child.sh')
    await once(command, 'spawn')
    await guarded.witness.present(2)
    const [child] = childrenOf(command.pid as number) as [number]
    scope.adopt(child)
    assert.throws(() => scope.release(child), { ...isTypeError, message: /release that command/ })
    await scope.close()
    await assertGone(guarded)
  })

  test('accepts a wrapper of a library, any object with a pid, and the pid of a command', async (t) => {
    const guarded = await startGuarded(t, way)
    const scope = guarded.guard.open()
    const env = guarded.witness.env as Record<string, string>
    const wrapped = execa(...commandOf('waits.sh'), { stdio: 'ignore', env })
    wrapped.catch(() => {})
    assert.equal(scope.release(scope.adopt(wrapped)), wrapped)
    const command = guarded.run(scope, 'waits.sh')
    await once(command, 'spawn')
    assert.equal(scope.release(command.pid as number), command.pid)
    const apart = spawn(...commandOf('waits.sh'), { stdio: 'ignore', env })
    scope.adopt({ pid: apart.pid })
    await guarded.witness.present(3)
    scope.release({ pid: apart.pid })
    assert.deepEqual((await scope.close()).processes, [])
    assert.equal(guarded.witness.living().length, 3)
  })
})
